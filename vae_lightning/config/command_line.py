"""Read and check a command line before anything runs, so that a mistake ends in a one-sentence error.

Does not import torch, so it starts fast.

The configuration of a command that runs once is composed here, once, and the command runs with it. Hydra's own `main` handles
only what requires it: help, completion, --cfg, --info, sweeps, and runs that use a setting of `hydra` itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.compose import Composer, hydra_composer, without_hydra
from vae_lightning.config.flags import check_flags, parse_flags, user_folders
from vae_lightning.config.overrides import is_group, is_plain, parse, refuse_sweeps, sweep_variants
from vae_lightning.config.plugins import check_sweeper
from vae_lightning.config.unknown_keys import check_keys, check_option, keys, refuse_ignored, refuse_unused
from vae_lightning.errors import UserError, is_main_process

# the settings of `hydra` that Hydra's own main acts on when it runs a job, with the values that make it do nothing
JOB_SETTINGS: dict[str, Any] = {
    "mode": None,
    "run.dir": ".",
    "output_subdir": None,
    "verbose": False,
    "callbacks": {},
    "job.chdir": None,
    "job.env_set": {},
    "job_logging.handlers": None,
}


class CommandLine(NamedTuple):
    """A checked command line.

    Args:
        arguments: the arguments for Hydra's main, if it has to run the command.
        config: the composed configuration, including `hydra`, of a command that runs once; None leaves the command to Hydra.
        sweep_folder: the folder of a sweep, if the arguments do not name one.
        only_prints: whether Hydra runs nothing, but prints help, a configuration or the completion of a line.
    """

    arguments: list[str]
    config: DictConfig | None = None
    sweep_folder: Path | None = None
    only_prints: bool = False


def run_name(name: str | None, data: str, model: str) -> str:
    """Return the name of a run: `<data>-<model>` if none was given."""
    return f"{data}-{model}" if name is None else name


def check_command_line(arguments: Sequence[str], config_name: str) -> CommandLine:
    """Check a command line, and compose the configuration if it is for one run.

    Raises:
        UserError: an option or key is unknown, or an override does not parse: mistakes that Hydra would report at length.
    """
    flags = parse_flags(arguments)
    check_flags(flags)
    if flags.help or flags.hydra_help or flags.shell_completion or flags.version:
        return CommandLine(list(arguments), only_prints=True)
    modes = [f"--{mode}" for mode in ("run", "multirun", "cfg", "info") if getattr(flags, mode) not in (None, False)]
    if len(modes) > 1:
        raise UserError(f"{' and '.join(modes)} cannot be combined: leave out all but one.")
    name = flags.config_name or config_name
    with hydra_composer(user_folders(flags)) as composer:
        overrides = [parse(text, composer.loader) for text in flags.overrides]
        if not flags.multirun:
            refuse_sweeps(overrides)
        for override in overrides:
            check_option(override, composer)
        if is_main_process() and not (flags.cfg or flags.info):  # Lightning adds hydra.run.dir to the further processes of DDP
            refuse_ignored(overrides, flags.multirun)
        if flags.multirun:
            return _check_sweep(list(arguments), name, overrides, composer, in_folder=config_name == "train")
        config = _compose(name, _texts(overrides, composer), overrides, composer)
        if flags.cfg and flags.package and OmegaConf.select(config, flags.package) is None:
            raise UserError(f"--package {flags.package}: the configuration has no such node.")
    prints = bool(flags.cfg or flags.info)
    return CommandLine(list(arguments), None if prints or not _is_plain_job(config) else config, only_prints=prints)


def _texts(overrides: Sequence[Override], composer: Composer) -> list[tuple[str, Override]]:
    return next(sweep_variants(overrides, composer))


def _is_plain_job(config: DictConfig) -> bool:
    """Whether Hydra would only call this job, and do nothing else for it."""
    return all(OmegaConf.select(config.hydra, key) == value for key, value in JOB_SETTINGS.items())


def _compose(
    config_name: str, variant: Sequence[tuple[str, Override]], overrides: Sequence[Override], composer: Composer
) -> DictConfig:
    """Compose one command line and check its keys.

    If Hydra rejects it, or a key is not in the result, check the keys against the configuration that the groups alone compose.
    """
    plain = [override for override in overrides if not is_group(override, composer)]
    config, refused = None, None
    try:
        config = composer.compose(config_name, [text for text, _ in variant])
    except UserError as error:
        refused = error
    known = set() if config is None else set(keys(config))
    if any(override.key_or_group not in known for override in plain if not override.is_delete()) or refused is not None:
        groups = [text for text, override in variant if override not in plain]
        check_keys(without_hydra(composer.compose(config_name, groups)), plain, composer.groups)
    if config is None:
        assert refused is not None
        raise refused
    refuse_unused(without_hydra(config), config_name, composer.groups)
    return config


def _check_sweep(
    arguments: list[str], config_name: str, overrides: list[Override], composer: Composer, in_folder: bool
) -> CommandLine:
    """Check a sweep: its first job, and one for each other option of a swept group, since options have their own keys."""
    added = _added_by_sweep_file(config_name, overrides, composer) if in_folder else []
    everything = overrides + added
    first, *others = sweep_variants(everything, composer)
    config = _compose(config_name, first, everything, composer)
    for variant in others:
        _compose(config_name, variant, everything, composer)
    swept_groups = [o for o in everything if is_group(o, composer) and (o.is_sweep_override() or o in added)]
    if swept_groups:
        arguments = _force_missing_keys(arguments, config_name, overrides, composer)
    if not in_folder or any(text.lstrip("+").startswith("hydra.sweep.dir=") for text, _ in first):
        return CommandLine(arguments)
    choices = config.hydra.runtime.choices
    name = run_name(config.name, choices["data"], choices["model"])
    unique = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"
    return CommandLine(arguments, sweep_folder=Path(config.output_dir) / "sweeps" / name / unique)


def _added_by_sweep_file(config_name: str, overrides: Sequence[Override], composer: Composer) -> list[Override]:
    """Return the overrides in `hydra.sweeper.params` of the chosen `sweep`, except those that are on the command line too."""
    typed = {override.get_key_element() for override in overrides}
    variant = _texts(overrides, composer)
    first = [text for text, override in variant if is_group(override, composer) or override.key_or_group.startswith("hydra.")]
    hydra = composer.compose(config_name, first).hydra
    check_sweeper(hydra)
    params = hydra.sweeper.get("params") or {}
    found = [parse(f"{key}={value}", composer.loader) for key, value in params.items() if key not in typed]
    for override in found:
        check_option(override, composer)
    return found


def _force_missing_keys(arguments: list[str], config_name: str, overrides: Sequence[Override], composer: Composer) -> list[str]:
    """Rewrite `-m model=conv,resnet model.channels=[16]` so that Hydra accepts it: `++model.channels=[16]`.

    Hydra also composes a sweep as a whole, with the default of each swept group (here mlp), and rejects keys that this default
    lacks. `++` sets them anyway.
    """
    groups = [override for override in overrides if is_group(override, composer)]
    keyed = [o for o in overrides if is_plain(o) and o not in groups and not o.key_or_group.startswith("hydra")]
    if not keyed:
        return arguments
    whole = composer.compose(config_name, [o.input_line or "" for o in groups if not o.is_sweep_override()])
    known = set(keys(without_hydra(whole)))
    missing = {override.input_line for override in keyed if override.key_or_group not in known}
    return [f"++{argument}" if argument in missing else argument for argument in arguments]
