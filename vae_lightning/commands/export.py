"""`python export.py run=outputs/…`: a trained encoder and decoder as ONNX and safetensors files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig

from vae_lightning.cli import run_app, trusts_run_code
from vae_lightning.errors import UserError, nearest

FORMATS = ("onnx", "safetensors")


def main() -> None:
    run_app(export, "export")


def export(config: DictConfig) -> list[Path]:
    """Writes what `formats` lists into the run's `exported/` folder, each checked against torch to 1e-5; the paths."""
    formats = list(config.formats) if isinstance(config.formats, ListConfig) else [config.formats]
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"formats={name}: no such format.{nearest(str(name), FORMATS)} Allowed: {', '.join(FORMATS)}.")
    trusted = trusts_run_code(config)
    from vae_lightning import exporting, runs
    from vae_lightning.console import Report, composition, paths, relative

    run = runs.find(config.run, config.checkpoint, trusted)
    vae = runs.load_vae(run)
    report = Report()
    report.say(composition(run.config, vae, {"checkpoint": relative(run.checkpoint)}))
    folder = Path(config.folder).expanduser().absolute() if config.folder else run.folder / "exported"
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[Path, float] = {}
    for name in formats:
        written |= _with_extra(exporting.FORMATS[name], vae, folder)
    report.say(paths([(f"within {error:.1g}", path) for path, error in written.items()]))
    return list(written)


def _with_extra(write: Any, vae: Any, folder: Path) -> dict[Path, float]:
    try:
        found: dict[Path, float] = write(vae, folder)
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install 'vae-lightning[export]'.") from error
    return found


if __name__ == "__main__":
    main()
