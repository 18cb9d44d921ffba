"""`python export.py run=outputs/…`: writes a trained encoder and decoder as ONNX and safetensors files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from vae_lightning.api.own_code import trusts_run_code
from vae_lightning.cli.app import run_app
from vae_lightning.cli.outputs import output_folder
from vae_lightning.errors import InvalidValue, UserError, did_you_mean, format_value
from vae_lightning.runs.write_errors import explain_write_errors

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
    chosen = output_folder("folder", config.folder)
    trusted = trusts_run_code(config)
    from vae_lightning.models import export as exporting
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path
    from vae_lightning.runs.folder import find_run, load_vae

    run = find_run(config.run, config.checkpoint, trusted)
    vae = load_vae(run)
    report = RunLog()
    report.say(describe_composition(run.config, vae, {"checkpoint": relative_path(run.checkpoint)}))
    folder = run.inside("exported") if chosen is None else chosen
    written: dict[Path, float] = {}
    with explain_write_errors(folder, "folder"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in formats:
            written |= exporting.FORMATS[name](vae, folder)
    report.say(describe_paths([(f"within {error:.1g}", path) for path, error in written.items()]))
    return list(written)


if __name__ == "__main__":
    main()
