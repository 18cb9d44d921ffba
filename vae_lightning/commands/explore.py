"""`python explore.py run=outputs/…`: one HTML page in which the decoder runs and the latent space can be walked through."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.cli import run_app, trusts_run_code
from vae_lightning.errors import check_choice, check_int


def main() -> None:
    run_app(explore, "explore")


def explore(config: DictConfig) -> Path:
    """Writes the page; its path."""
    check_choice("split", config.split, ("train", "val", "test"))
    check_int("images", config.images)
    check_int("starts", config.starts)
    trusted = trusts_run_code(config)
    import torch

    from vae_lightning import explorer, runs, served
    from vae_lightning.console import Report, composition, paths, relative
    from vae_lightning.evaluation.elbo import evaluate_elbo, pixels

    run = runs.find(config.run, config.checkpoint, trusted)
    vae = runs.load_vae(run)
    split = served.load_split(run, config.split, config.data.root)
    report = Report()
    report.say(composition(run.config, vae, {"checkpoint": relative(run.checkpoint)}))
    kl = evaluate_elbo(vae, served.batches(split, 500, torch.device("cpu"), 2000), config.split).kl_per_dimension()
    x, labels = pixels(split.images[: config.images]), split.labels[: config.images]
    axes = ", ".join(f"{axis}={run.config.choices[axis]}" for axis in ("data", "model", "posterior", "prior", "likelihood"))
    text = explorer.page(vae, run.config.name, axes, x, labels, kl, config.starts)
    path = Path(config.file).expanduser().absolute() if config.file else run.folder / "explorer.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    runs.write_text(path, text)
    report.say(paths([("page", path)]))
    return path


if __name__ == "__main__":
    main()
