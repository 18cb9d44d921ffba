"""`python generate.py run=outputs/…`: samples, reconstructions, traversals, interpolations … of a trained run, as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from vae_lightning.api.own_code import trusts_run_code
from vae_lightning.cli.app import run_app
from vae_lightning.cli.outputs import output_folder
from vae_lightning.errors import InvalidValue, UserError, check_choice, check_seed, did_you_mean
from vae_lightning.evaluation.settings import build_settings
from vae_lightning.plots.pictures import PICTURES, Picture
from vae_lightning.runs.write_errors import explain_write_errors

OFFERED = {name: picture for name, picture in PICTURES.items() if picture.in_generate}


def main() -> None:
    """Run the command."""
    run_app(generate, "generate")


def generate(config: DictConfig) -> list[Path]:
    """Draw what `config.what` lists into the run's `generated/` folder.

    Returns:
        The paths of the files.

    Raises:
        UserError: a setting is invalid, or one of the pictures does not apply to the run.
        RunError: a file of the run is damaged, or a picture cannot be written.
    """
    names = picture_names(config)
    pictures = {name: build_settings(picture, name, config.get(name, {})) for name, picture in OFFERED.items()}
    check_used(names, list(HydraConfig.get().overrides.task))
    check_seed("seed", config.seed)
    check_choice("split", config.split, ("train", "val", "test"))
    folder = output_folder("folder", config.folder)
    trusted = trusts_run_code(config)
    from vae_lightning.runs.console import RunLog, describe_composition, describe_paths, relative_path
    from vae_lightning.runs.draw import choose_pictures, prepare_drawing, save_pictures_of
    from vae_lightning.runs.folder import find_run

    run = find_run(config.run, config.checkpoint, trusted)
    context = prepare_drawing(run, config.split, config.data, config.device, config.seed, config.get("sampler"))
    chosen: list[Picture] = [pictures[name] for name in names]
    if config.what is None:
        chosen = [picture for picture in chosen if picture.applies_to(context.picture_context)]
    chosen = list(choose_pictures(context, chosen))
    report = RunLog()
    details = {"device": context.device.type, "checkpoint": relative_path(run.checkpoint), "samples": context.drawn}
    report.say(describe_composition(run.config, context.vae, details))
    with explain_write_errors(folder or run.folder, "folder"):
        made = save_pictures_of(context, chosen, folder)
    report.say(describe_paths([("picture", path) for path in made]))
    return made


def picture_names(config: DictConfig) -> list[str]:
    """Return the pictures that `config.what` lists; null: all.

    Raises:
        UserError: a picture is unknown, or the list is empty.
    """
    if config.what is None:
        return list(OFFERED)
    names = list(config.what) if isinstance(config.what, ListConfig) else [config.what]
    if not names:
        raise InvalidValue("what", config.what, f"null or a list of {', '.join(OFFERED)}")
    for name in names:
        if name not in OFFERED:
            allowed = ", ".join(OFFERED)
            raise UserError(f"what={name}: unknown picture.{did_you_mean(str(name), OFFERED)} Allowed: {allowed}.")
    return names


def check_used(names: Sequence[str], overrides: Sequence[str]) -> None:
    """Raise UserError if a setting is given for a picture that is not drawn."""
    for override in overrides:
        name = override.lstrip("+").partition(".")[0]
        if name in OFFERED and name not in names:
            raise UserError(f"{override} would have no effect: what={','.join(names)} leaves {name} out.")


if __name__ == "__main__":
    main()
