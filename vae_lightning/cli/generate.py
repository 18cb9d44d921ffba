"""`python generate.py run=outputs/…`: samples, reconstructions, traversals, interpolations … of a trained run, as PNG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from vae_lightning.cli.app import run_app, trusts_run_code
from vae_lightning.errors import InvalidValue, RunError, UserError, check_choice, check_int, check_number, did_you_mean

THROUGH_REAL_SPACE = ("traversals", "interpolations", "manifold")  # drawn along straight lines
FILM = "training_film"  # made of what training kept, not of the trained model
WHAT = ("samples", "reconstructions", "traversals", "interpolations", "latent_scatter", "manifold", FILM)


def main() -> None:
    run_app(generate, "generate")


def generate(config: DictConfig) -> list[Path]:
    """Draws what `config.what` lists into the run's `generated/` folder; the paths."""
    what = _chosen(config.what)
    _check(config, what or WHAT, list(HydraConfig.get().overrides.task))
    trusted = trusts_run_code(config)
    from vae_lightning.capabilities import REAL_SPACE
    from vae_lightning.plots import images as figures
    from vae_lightning.plots.film import read_frames, training_film
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path
    from vae_lightning.runs.folder import find_run, load_vae
    from vae_lightning.runs.images import choose_device

    run = find_run(config.run, config.checkpoint, trusted)
    device = choose_device(config.device)
    vae = load_vae(run).to(device)
    _check_labels(config, vae.condition)
    drawings = _drawings(config, run, vae, device)
    report = RunLog()
    report.say(describe_composition(run.config, vae, {"device": device.type, "checkpoint": relative_path(run.checkpoint)}))
    if what is None:
        left_out = {"manifold"} if vae.latent_prior.top_dim != 2 else set()
        if len(list((run.folder / "film").glob("[0-9]*.npz"))) < 2:
            left_out.add(FILM)
        if REAL_SPACE not in vae.posterior.capabilities:
            left_out |= set(THROUGH_REAL_SPACE)
        what = [name for name in WHAT if name not in left_out]
    elif REAL_SPACE not in vae.posterior.capabilities and (straight := [name for name in what if name in THROUGH_REAL_SPACE]):
        raise UserError(f"what={straight[0]} does not go with {vae.posterior.option}: it needs {REAL_SPACE}.")
    elif "manifold" in what and vae.latent_prior.top_dim != 2:
        dim = vae.latent_prior.top_dim
        raise UserError(f"what=manifold draws a two-dimensional latent space, and this run has latent_dim={dim}.")
    folder = Path(config.folder).expanduser().absolute() if config.folder else run.inside("generated")
    made = [_save(figures.to_array(drawings[name]()), folder / f"{name}.png") for name in what if name != FILM]
    if FILM in what:
        made.append(training_film(read_frames(run.folder), folder / f"{FILM}.gif", config.training_film.seconds))
    report.say(describe_paths([("picture", path) for path in made]))
    return made


def _save(picture: Any, path: Path) -> Path:
    from vae_lightning.plots import images as figures

    try:
        return figures.save_png(picture, path)
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}): set folder to one that can.") from error


def _chosen(what: Any) -> list[str] | None:
    """The list that `what` names; None for all that the run has."""
    if what is None:
        return None
    names = list(what) if isinstance(what, ListConfig) else [what]
    if not names:
        raise InvalidValue("what", what, f"null or a list of {', '.join(WHAT)}")
    for name in names:
        if name not in WHAT:
            raise UserError(f"what={name}: no such picture.{did_you_mean(str(name), WHAT)} Allowed: {', '.join(WHAT)}.")
    return names


def _check(config: DictConfig, what: Sequence[str], overrides: Sequence[str]) -> None:
    """Numbers in range, and no key set that nothing will be drawn with."""
    for override in overrides:
        name = override.lstrip("+").partition(".")[0]
        if name in WHAT and name not in what:
            raise UserError(f"{override} would have no effect: what={','.join(what)} leaves {name} out.")
    for name in WHAT:
        for key, value in config[name].items():
            if value is None and key in ("rows", "label"):
                continue
            if key in ("reach", "seconds"):
                check_number(f"{name}.{key}", value, 0, above=True)
            else:
                check_int(f"{name}.{key}", value, 0 if key in ("image", "label") else 1)
    check_int("seed", config.seed, 0)
    if config.folder is not None and (not isinstance(config.folder, str) or not config.folder):
        raise InvalidValue("folder", config.folder, "a folder, or null for the run's own")
    check_choice("split", config.split, ("train", "val", "test"))


def _check_labels(config: DictConfig, condition: Any) -> None:
    """The labels asked for are classes of the run's."""
    for name in ("samples", "manifold"):
        label = config[name].label
        if label is not None and not condition.classes:
            raise UserError(f"{name}.label={label} would have no effect: this run has {condition.option}; leave it out.")
        if label is not None and label >= condition.classes:
            raise UserError(f"{name}.label={label}: must be one of the classes 0 to {condition.classes - 1}.")


def _drawings(config: DictConfig, run: Any, vae: Any, device: Any) -> dict[str, Callable[[], Any]]:
    """How each picture is drawn; images are loaded by the first that needs them."""
    from functools import cache

    import torch

    from vae_lightning.data.base import pixels
    from vae_lightning.evaluation.elbo import evaluate_elbo
    from vae_lightning.plots import images as figures
    from vae_lightning.plots import latents as code_charts
    from vae_lightning.runs.images import iterate_batches, load_split

    @cache
    def split() -> Any:
        return load_split(run, config.split, config.data.root)

    def images(first: int, count: int) -> Any:
        if first + count > len(split()):
            raise UserError(f"{count} images from place {first} on were asked for, and {config.split} has {len(split())}.")
        return pixels(split().images[first : first + count].to(device))

    def labels(first: int, count: int) -> Any:
        return split().labels[first : first + count].to(device)

    def traversals() -> Any:
        kl, c = (
            evaluate_elbo(vae, iterate_batches(split(), 500, device, 2000), config.split).kl_per_dimension(),
            config.traversals,
        )
        return figures.traversals(vae, images(c.image, 1)[0], kl, c.reach, c.columns, c=labels(c.image, 1))

    def interpolations() -> Any:
        rows = min(config.interpolations.rows, len(split()) // 2)
        if rows == 0:
            raise UserError(f"what=interpolations goes from one image to another, and {config.split} has {len(split())}.")
        pairs, c = images(0, 2 * rows), labels(0, 2 * rows)
        return figures.interpolations(vae, pairs[:rows], pairs[rows:], config.interpolations.columns, c[:rows], c[rows:])

    @torch.no_grad()
    def latent_scatter() -> Any:
        count = min(config.latent_scatter.count, len(split()))
        codes = vae.encode(images(0, count), labels(0, count)).mean
        return code_charts.latent_scatter(codes, split().labels[:count], config.split)

    def reconstructions() -> Any:
        count = min(config.reconstructions.count, len(split()))
        return figures.reconstructions(vae, images(0, count), config.reconstructions.columns, labels(0, count))

    return {
        "samples": lambda: figures.samples(vae, config.samples.rows, config.samples.columns, config.seed, config.samples.label),
        "reconstructions": reconstructions,
        "traversals": traversals,
        "interpolations": interpolations,
        "latent_scatter": latent_scatter,
        "manifold": lambda: figures.manifold(vae, config.manifold.side, config.manifold.label),
    }


if __name__ == "__main__":
    main()
