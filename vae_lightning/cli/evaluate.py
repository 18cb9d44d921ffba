"""`python evaluate.py run=outputs/…`: measures a trained run, using the run's own configuration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from vae_lightning.cli.app import run_app, trusts_run_code
from vae_lightning.cli.outputs import explain_write_errors
from vae_lightning.errors import UserError, check_bool, check_choice, check_int, did_you_mean
from vae_lightning.evaluation.measures import MEASURES, Measure
from vae_lightning.evaluation.metrics import EVALUATION_TABLE
from vae_lightning.evaluation.settings import build_settings

if TYPE_CHECKING:
    from rich.console import Console


def main() -> None:
    """Runs the command."""
    run_app(evaluate, "evaluate")


def evaluate(config: DictConfig) -> dict[str, Any]:
    """Measures the ELBO and what `config.measures` lists on one split, and writes the values to `results.json` and TensorBoard.

    Raises:
        UserError: a setting is invalid, or the run is not there.
        RunError: a file of the run is damaged or cannot be written.
    """
    measures = choose_measures(config, list(HydraConfig.get().overrides.task))
    check_choice("split", config.split, ("train", "val", "test"))
    check_int("batch_size", config.batch_size)
    check_bool("per_image", config.per_image)
    trusted = trusts_run_code(config)
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path, results_table
    from vae_lightning.runs.folder import find_run
    from vae_lightning.runs.measure import prepare_evaluation, run_measures, save_evaluation

    run = find_run(config.run, config.checkpoint, trusted)
    run.results()  # a damaged file is reported before the work, not after
    context = prepare_evaluation(run, config.split, config.data, config.batch_size, config.device)
    if config.measures is None:
        measures = [measure for measure in measures if measure.applies_to(context)]
    details = {
        "images": f"{config.split} {len(context.split):,}",
        "device": context.device.type,
        "checkpoint": relative_path(run.checkpoint),
    }
    report = RunLog()
    report.say(describe_composition(run.config, context.vae, details))
    for measure in measures:
        announcement = measure.announcement(context)
        if announcement is not None:
            report.say(announcement)
    found = run_measures(context, measures, progress_bar(report.console))
    for note in [*found.notes, *describe_convergence(found.values)]:
        report.say(note)
    report.say(results_table("results", {config.split: found.values}, EVALUATION_TABLE))
    with explain_write_errors(run.folder):
        written = save_evaluation(run, context, found, config.per_image)
    report.say(describe_paths(written))
    return found.values


def choose_measures(config: DictConfig, overrides: Sequence[str]) -> list[Measure]:
    """The measures that `config.measures` lists, each with its settings; null: those that are measured by default.

    Settings of all measures are checked, and one of a measure that is left out is an error.

    Raises:
        UserError: an unknown measure, an invalid setting, or one that would have no effect.
    """
    names = [name for name, measure in MEASURES.items() if measure.by_default]
    if config.measures is not None:
        names = list(config.measures) if isinstance(config.measures, ListConfig) else [config.measures]
    for name in names:
        if name not in MEASURES:
            allowed = ", ".join(MEASURES)
            raise UserError(f"measures={name}: unknown measure.{did_you_mean(str(name), MEASURES)} Allowed: {allowed}.")
    measures = {name: build_settings(measure, name, config.get(name, {})) for name, measure in MEASURES.items()}
    for override in overrides:
        name = override.lstrip("+").partition(".")[0]
        if name in measures and name not in names and not measures[name].is_off:
            raise UserError(f"{override} would have no effect: {name} is not measured; add it to measures.")
    return [measures[name] for name in MEASURES if name in names]


def describe_convergence(values: Mapping[str, Any]) -> list[str]:
    """The nll at the last few numbers of samples, which shows whether it has converged."""
    curve = list(values.get("nll_by_samples", {}).items())[-4:]
    if len(curve) < 2:
        return []
    samples, nll = zip(*curve, strict=True)
    return [f"nll with {', '.join(samples)} samples: {', '.join(f'{value:.2f}' for value in nll)}."]


def progress_bar(console: Console) -> Any:
    """A progress bar for each measure, where the output is a terminal."""
    from rich.progress import Progress

    @contextmanager
    def show(name: str) -> Iterator[Callable[[int, int], None]]:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
            task = progress.add_task(name, total=None)
            yield lambda images, total: progress.update(task, advance=images, total=total)

    return show


if __name__ == "__main__":
    main()
