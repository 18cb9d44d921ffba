"""`python explore.py run=outputs/…`: an interactive HTML page to explore the latent space; the decoder runs in the browser."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.api.own_code import trusts_run_code
from vae_lightning.cli.app import run_app
from vae_lightning.cli.outputs import output_file
from vae_lightning.errors import UserError, check_choice, check_int
from vae_lightning.runs.write_errors import explain_write_errors

MOST_IMAGES, MOST_STARTS = 10_000, 1000  # more would be too many for a page in a browser


def main() -> None:
    """Run the command."""
    run_app(explore, "explore")


def explore(config: DictConfig) -> Path:
    """Write the page and return its path.

    Raises:
        UserError: a setting is invalid, or this model cannot be explored.
    """
    check_choice("split", config.split, ("train", "val", "test"))
    check_int("images", config.images, 1, MOST_IMAGES)
    check_int("starts", config.starts, 1, MOST_STARTS)
    chosen = output_file("file", config.file, (".html", ".htm"))
    trusted = trusts_run_code(config)
    import torch

    from vae_lightning.config.fitting_sampler import as_config
    from vae_lightning.data.images import pixels
    from vae_lightning.evaluation.at_once import check_images, images_at_once
    from vae_lightning.evaluation.elbo import evaluate_elbo
    from vae_lightning.files import write_text
    from vae_lightning.plots import explorer
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path
    from vae_lightning.runs.folder import find_run, load_vae
    from vae_lightning.runs.load_images import iterate_batches, load_split
    from vae_lightning.runs.samplers import attach_sampler

    run = find_run(config.run, config.checkpoint, trusted)
    vae = load_vae(run)
    vae.checks_input = False  # images come from the data set
    if vae.standardisation is not None:
        raise UserError("explore draws images, and this run was trained on numbers that are no image: use generate instead.")
    check_images("images", config.images, vae.shape)
    split = load_split(run, config.split, config.data)
    drawn = attach_sampler(run, vae, as_config(config.get("sampler")), config.data)
    report = RunLog()
    report.say(describe_composition(run.config, vae, {"checkpoint": relative_path(run.checkpoint), "samples": drawn}))
    batches = iterate_batches(split, images_at_once(vae.shape, 500), torch.device("cpu"), 2000)
    kl = evaluate_elbo(vae, batches, config.split).kl_per_dimension()
    shown = split.first(config.images)
    x, labels = pixels(shown.images), shown.labels
    axes = ", ".join(f"{axis}={run.config.choices[axis]}" for axis in ("data", "model", "posterior", "prior", "likelihood"))
    text = explorer.page(vae, run.config.name, axes, x, labels, kl, config.starts, run.data_spec.class_names)
    path = run.inside("explorer.html") if chosen is None else chosen
    with explain_write_errors(path, "file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    report.say(describe_paths([("page", path)]))
    return path


if __name__ == "__main__":
    main()
