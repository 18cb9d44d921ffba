"""docs/results.md: one row for each recipe, run or not, the paired gaps, and how each figure was made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from vae_lightning.reports.published.attempt import Attempt
from vae_lightning.reports.published.recipes import Recipe
from vae_lightning.reports.published.values import Gap, MeanWithErrors, mean_over_seeds, paired_gap

NOT_RUN, NOT_EVALUATED = "not run", "not evaluated"
Found = Mapping[str, Sequence[Attempt]]
HEAD = """# Published results, and ours

Written by `make results` from the folders of runs and the records of earlier ones (`docs/results/`); not to be edited by hand.

Nats per image on the test set, lower is better. `nll` is −log p(x) by importance sampling with k samples (an upper bound in
expectation, lower with more samples), `-elbo` the negative ELBO at β = 1. Ours is the mean over seeds ± its standard error
over test images and, where there are several seeds, ± that over seeds. A full recipe is inside where ours lies within the
tolerance of the published value.

A budget variant is a shorter run of the same recipe, for a machine that cannot do the full one. It does not reproduce the
published value, and its target is ours: at most the published value plus an allowance. What it can show is the gap between
two of them.
"""
GAPS = """
## Paired gaps

How much lower the second one's figure is than the first one's, image by image, so that what images have in common cancels:
the mean over test images ± the standard error of these differences (and ± that over seeds, where there are several pairs).
A full pair has to reach the gap in brackets, a pair of budget variants has to be above 0 by two standard errors.
"""
ACTIVE = """
## Active units

Units whose posterior mean varies by more than 0.01 over the test images (Burda et al. 2016).
"""
MADE = """
## How each was made

`data.root` is left out of the commands. A commit with + had changes that were not committed.
"""


def page(recipes: Mapping[str, Recipe], found: Found) -> str:
    """The whole page, in Markdown."""
    parts = [HEAD, _table(_columns(), [_row(recipe, found) for recipe in recipes.values()]), GAPS]
    parts.append(_table(("from → to", "which", "published gap", "ours", "verdict", "images"), _gap_rows(recipes, found)))
    parts += [ACTIVE, _table(("recipe", "which", "published", "ours", "seeds"), _active_rows(recipes, found)), MADE]
    columns = ("recipe", "train", "evaluate", "commit", "hardware", "minutes of training")
    parts.append(_table(columns, [_made(recipe, found.get(recipe.name, ())) for recipe in recipes.values()]))
    noted = [(name, run) for name in recipes for run in found.get(name, ()) if run.note]
    parts += ["\n" if noted else "", *(f"- `{name}`, seed {run.seed}: {run.note}\n" for name, run in noted)]
    parts += ["\n## Where the published values stand\n\n", *(_source(r) for r in recipes.values() if not r.is_budget)]
    parts += ["\n## The budgets\n\n", *(_budget(r) for r in recipes.values() if r.is_budget)]
    return "".join(parts)


def _columns() -> Sequence[str]:
    return ("recipe", "which", "metric", "published", "target", "ours", "verdict", "seeds")


def _row(recipe: Recipe, found: Found) -> Sequence[str]:
    runs = found.get(recipe.name, ())
    figure = mean_over_seeds(runs)
    if figure is None:
        ours, verdict, seeds = NOT_EVALUATED if runs else NOT_RUN, "", ""
    else:
        side = "lower" if figure.mean < recipe.published else "higher"
        verdict = "inside" if recipe.holds(figure.mean) else f"**outside**, {side}"
        ours, seeds = _figure(figure), ", ".join(map(str, figure.seeds))
    return (recipe.name, _which(recipe), _metric(recipe, runs), f"{recipe.published:.2f}", _target(recipe), ours, verdict, seeds)


def _which(recipe: Recipe) -> str:
    return "budget" if recipe.is_budget else "full"


def _metric(recipe: Recipe, runs: Sequence[Attempt]) -> str:
    samples = sorted({run.samples for run in runs if run.samples is not None})
    images = sorted({run.images for run in runs if run.images is not None})
    of = f", {', '.join(f'{n:,}' for n in images)} images" if images else ""
    return recipe.metric + (f", k = {', '.join(map(str, samples))}{of}" if samples else "")


def _target(recipe: Recipe) -> str:
    return f"at most {recipe.published + recipe.allowance:.2f}" if recipe.allowance is not None else f"± {recipe.tolerance:g}"


def _figure(figure: MeanWithErrors) -> str:
    seeds = "" if figure.over_seeds is None else f" (images) ± {figure.over_seeds:.2f} (seeds)"
    return f"{figure.mean:.2f} ± {figure.over_images:.2f}{seeds}".replace("-", "−")


def _gap_rows(recipes: Mapping[str, Recipe], found: Found) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for better in recipes.values():
        if better.pair is None:
            continue
        worse = recipes[better.pair]
        gap = paired_gap(better, worse, {name: list(runs) for name, runs in found.items()})
        least = "" if better.gap_at_least is None else f" (at least {better.gap_at_least:g})"
        rows.append(
            (
                f"{worse.name} → {better.name}",
                _which(better),
                f"{worse.published - better.published:.2f}{least}",
                *_gap_cells(gap),
            )
        )
    return rows


def _gap_cells(gap: Gap | str) -> Sequence[str]:
    if isinstance(gap, str):
        return gap, "", ""
    return _figure(gap.figure), "inside" if gap.holds else "**outside**", f"{gap.images:,}"


def _active_rows(recipes: Mapping[str, Recipe], found: Found) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for recipe in recipes.values():
        if recipe.active_units is None:
            continue
        runs = [run for run in found.get(recipe.name, ()) if run.value is not None and run.active_units is not None]
        ours = ", ".join(f"{run.active_units} of {run.latent_dim}" for run in runs) or NOT_RUN
        seeds = ", ".join(str(run.seed) for run in runs)
        rows.append((f"`{recipe.name}`", _which(recipe), f"{recipe.active_units}", ours, seeds))
    return rows


def _made(recipe: Recipe, runs: Sequence[Attempt]) -> Sequence[str]:
    seeds = [run.seed for run in runs]
    one = f"python train.py experiment={recipe.name}" + (f" seed={seeds[0]}" if seeds else "")
    train = one if len(seeds) < 2 else f"python train.py -m experiment={recipe.name} seed={','.join(map(str, seeds))}"
    minutes = ", ".join(f"{run.seconds / 60:.1f}" for run in runs)
    cells = (f"`{train}`", f"`python evaluate.py run=… {_evaluate(recipe, runs)}`")
    return (recipe.name, *cells, _each(run.commit for run in runs), _each(run.hardware for run in runs), minutes)


def _evaluate(recipe: Recipe, runs: Sequence[Attempt]) -> str:
    """The recipe's arguments, with the numbers of samples that the runs were evaluated with."""
    samples = ",".join(dict.fromkeys(str(run.samples) for run in runs if run.samples is not None))
    return re.sub(r"(?<=nll\.samples=)\d+", samples, recipe.evaluate) if samples else recipe.evaluate


def _each(words: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(words))


def _source(recipe: Recipe) -> str:
    return f"- `{recipe.name}`: {recipe.paper}; {recipe.table}. Setting: {recipe.setting.rstrip('.')}.\n"


def _budget(recipe: Recipe) -> str:
    return f"- `{recipe.name}`: {recipe.setting}. Its allowance of {recipe.allowance:g} nats was chosen {recipe.chosen}.\n"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n" + "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)
