"""`python export.py run=outputs/…`: writes a trained encoder and decoder as ONNX and safetensors files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, ListConfig

from vae_lightning.api.own_code import trusts_run_code
from vae_lightning.cli.app import run_app
from vae_lightning.cli.outputs import output_folder
from vae_lightning.errors import InvalidValue, RunError, UserError, check_int, did_you_mean, format_value
from vae_lightning.runs.write_errors import explain_write_errors

if TYPE_CHECKING:
    from vae_lightning.models.vae import VAE
    from vae_lightning.runs.console import RunLog
    from vae_lightning.runs.folder import Run

SCALE_IMAGES = 2000
FORMATS = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "safetensors": ("safetensors",)}  # with the packages that each needs


def main() -> None:
    """Run the command."""
    run_app(export, "export")


def export(config: DictConfig) -> list[Path]:
    """Write the files that `formats` lists to the run's `exported/` folder, each verified against torch to 1e-5.

    Returns:
        The paths of the files.

    Raises:
        UserError: a format is unknown, or its packages are not installed.
        RunError: a file differs from torch.
    """
    formats = list(dict.fromkeys(config.formats)) if isinstance(config.formats, ListConfig) else [config.formats]
    if not formats:
        raise InvalidValue("formats", [], f"a list of formats, such as [{next(iter(FORMATS))}]: {', '.join(FORMATS)}")
    for name in formats:
        if not isinstance(name, str) or name not in FORMATS:
            raise UserError(
                f"formats={format_value(name)}: unknown format.{did_you_mean(str(name), FORMATS)} Allowed: {', '.join(FORMATS)}."
            )
        for package in FORMATS[name]:
            if find_spec(package) is None:
                raise UserError(f"formats={name}: {package} is not installed: pip install 'vae-lightning[export]'.")
    if config.scale_images is not None:
        check_int("scale_images", config.scale_images, 2)
    chosen = output_folder("folder", config.folder)
    trusted = trusts_run_code(config)
    from vae_lightning.models import export as exporting
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path
    from vae_lightning.runs.folder import find_run, load_vae

    run = find_run(config.run, config.checkpoint, trusted)
    vae = load_vae(run)
    writes_readme = vae.posterior.grid is not None and "safetensors" in formats
    if not writes_readme:
        refuse_scale(config)
    report = RunLog()
    report.say(describe_composition(run.config, vae, {"checkpoint": relative_path(run.checkpoint)}))
    folder = run.inside("exported") if chosen is None else chosen
    written: dict[Path, float] = {}
    with explain_write_errors(folder, "folder"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in formats:
            written |= exporting.FORMATS[name](vae, folder)
        readme = exporting.write_readme(vae, folder, measure_scale(config, run, vae, report)) if writes_readme else None
    report.say(describe_paths([(f"within {error:.1g}", path) for path, error in written.items()]))
    if readme is None:
        return list(written)
    report.say(describe_paths([("shapes and scale", readme)]))
    return [*written, readme]


def refuse_scale(config: DictConfig) -> None:
    """Refuse settings of the codes' scale where none is measured (UserError)."""
    given = {"scale_images": config.scale_images, **{f"data.{name}": value for name, value in config.data.items()}}
    for name, value in given.items():
        if value is not None:
            raise UserError(
                f"{name}={format_value(value)} would have no effect: only formats=safetensors of a run with posterior.grid "
                "measures the scale of the codes; leave it out."
            )


def measure_scale(config: DictConfig, run: Run, vae: VAE, report: RunLog) -> tuple[float, int] | None:
    """Return the scaling factor of the codes and the number of training images it is from; None if these are not there."""
    import torch

    from vae_lightning.evaluation.latent_scale import scaling_factor
    from vae_lightning.runs.load_images import iterate_batches, load_split

    try:
        split = load_split(run, "train", config.data)
    except (UserError, RunError) as error:
        if any(value is not None for value in config.data.values()):
            raise
        report.say(f"scaling_factor was not measured: {error}")
        return None
    images = SCALE_IMAGES if config.scale_images is None else config.scale_images
    return scaling_factor(vae, iterate_batches(split, 100, torch.device("cpu"), images), "train")


if __name__ == "__main__":
    main()
