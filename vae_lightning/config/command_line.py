"""The command line, checked before Hydra composes it: what is wrong ends as one sentence. Imports no torch: it must be quick."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra import compose
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.config.builtin import PUBLISHED, conf_dir, walk_entries
from vae_lightning.config.checks import check_keys, check_option, keys
from vae_lightning.config.compose import compose_config, hydra_composer, one_sentence, search_path
from vae_lightning.config.overrides import is_group, parse, refuse_sweeps, sweep_variants
from vae_lightning.config.plugins import check_sweeper
from vae_lightning.errors import UserError, did_you_mean, format_value


def run_name(name: str | None, data: str, model: str) -> str:
    """The name of a run that was given none: `<data>-<model>`."""
    return f"{data}-{model}" if name is None else name


def check_command_line(arguments: Sequence[str], config_name: str) -> Path | None:
    """Raises UserError for what Hydra would refuse at length: unknown options and keys, overrides that do not parse.

    Returns the folder of a sweep, which is to be added to the arguments; None where it is none, or has a folder.
    """
    parser = get_args_parser()
    parser.error = _refuse  # type: ignore[method-assign,assignment]
    parsed = parser.parse_args(list(arguments))
    if parsed.help or parsed.hydra_help or parsed.shell_completion:
        return None
    modes = [f"--{mode}" for mode in ("run", "multirun", "cfg", "info") if getattr(parsed, mode) not in (None, False)]
    if len(modes) > 1:
        raise UserError(f"{' and '.join(modes)}: each asks for something else; leave out all but one.")
    name = parsed.config_name or config_name
    with hydra_composer(search_path(parsed)):
        loader: Any = GlobalHydra.instance().config_loader()
        loader.get_group_options = cache(loader.repository.get_group_options)  # else all that Hydra knows is copied each time
        overrides = [parse(text, loader) for text in parsed.overrides]
        if not parsed.multirun:
            refuse_sweeps(overrides)
        for override in overrides:
            check_option(override, loader)
        if parsed.multirun and config_name == "train":
            overrides += _swept_by_file(name, overrides, loader)
        plain = [override for override in overrides if not is_group(override, loader)]
        for variant in sweep_variants(overrides, loader):
            _check_unused(_composed_of_known_keys(name, variant, plain, loader), name, loader.list_groups(""))
        first = [text for text, _ in next(sweep_variants(overrides, loader))]
        return _sweep_folder(name, first) if parsed.multirun and not parsed.cfg and config_name == "train" else None


def _refuse(message: str) -> None:
    raise UserError(f"{message}; --help lists what there is.")


def _sweep_folder(config_name: str, overrides: Sequence[str]) -> Path | None:
    """The folder of this sweep, unless one was given."""
    if any(text.lstrip("+").startswith("hydra.sweep.dir=") for text in overrides):
        return None
    config = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    name = run_name(config.name, config.hydra.runtime.choices["data"], config.hydra.runtime.choices["model"])
    return Path(config.output_dir) / "sweeps" / name / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"


def _swept_by_file(config_name: str, overrides: Sequence[Override], loader: Any) -> list[Override]:
    """The overrides that the chosen `sweep` brings in `hydra.sweeper.params`, without those that the command line has too."""
    typed = {override.get_key_element() for override in overrides}
    variant = next(sweep_variants(overrides, loader))
    first = [text for text, override in variant if is_group(override, loader) or override.key_or_group.startswith("hydra.")]
    try:
        hydra = compose(config_name, overrides=first, return_hydra_config=True).hydra
    except (HydraException, OmegaConfBaseException, yaml.YAMLError) as error:
        raise UserError(one_sentence(error)) from error
    check_sweeper(hydra)
    params = hydra.sweeper.get("params") or {}
    found = [parse(f"{key}={value}", loader) for key, value in params.items() if key not in typed]
    for override in found:
        check_option(override, loader)
    return found


def _composed_of_known_keys(
    config_name: str, variant: Sequence[tuple[str, Override]], plain: Sequence[Override], loader: Any
) -> DictConfig:
    """A variant composed. Its keys are looked for in its groups alone where Hydra refuses it, or where one is not in it."""
    try:
        config, refused = compose_config(config_name, [text for text, _ in variant]), None
    except UserError as error:
        config, refused = OmegaConf.create(), error
    known = set(keys(config))
    if any(override.key_or_group not in known for override in plain):  # or deleted, or an item of a list
        groups = [text for text, override in variant if override not in plain]
        check_keys(compose_config(config_name, groups), plain, loader)
    if refused is not None:
        raise refused
    return config


def _check_unused(config: DictConfig, config_name: str, groups: Sequence[str]) -> None:
    """Every key outside of the groups, whose constructors check theirs, is one of the program's, or another refers to it.

    So that a file of one's own, or `+key=value`, sets nothing that is then ignored.
    """
    path = conf_dir() / f"{config_name}.yaml"
    if not path.is_file():
        return
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    known = {".".join([*place, str(key)]) for place, key, _ in walk_entries(own)}
    text = OmegaConf.to_yaml(config, resolve=False)
    for key in keys(config):
        top = key.partition(".")[0]
        if top not in groups and top not in ("hydra", PUBLISHED) and key not in known and f"${{{key}" not in text:
            value = OmegaConf.to_container(config, resolve=False)
            for part in key.split("."):
                value = value[part]  # type: ignore[call-overload,index]
            raise UserError(
                f"{key}={format_value(value)}: there is no key {key!r}, and nothing uses it.{did_you_mean(key, known)}"
            )


def force_swept_keys(arguments: Sequence[str], config_name: str) -> list[str]:
    """The checked command line of a sweep, as Hydra takes it: `-m model=conv,resnet ++model.channels=[16]`.

    Hydra composes a sweep as a whole with the default of each swept group, here mlp, and refuses keys that are not in it; with
    `++` it sets them all the same.
    """
    parsed = get_args_parser().parse_args(list(arguments))
    if not parsed.multirun:
        return list(arguments)
    with hydra_composer(search_path(parsed)):
        loader: Any = GlobalHydra.instance().config_loader()
        overrides = [parse(text, loader) for text in parsed.overrides]
        groups = [override for override in overrides if is_group(override, loader)]
        whole = compose_config(
            parsed.config_name or config_name, [o.input_line or "" for o in groups if not o.is_sweep_override()]
        )
        known = set(keys(whole))
        missing = {o.input_line for o in overrides if _is_plain(o) and o not in groups and o.key_or_group not in known}
    return [f"++{argument}" if argument in missing else argument for argument in arguments]


def _is_plain(override: Override) -> bool:
    return not (
        override.is_sweep_override()
        or override.is_delete()
        or override.is_add()
        or override.is_force_add()
        or override.key_or_group.startswith("hydra")
    )
