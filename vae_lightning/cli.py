"""From the command line to a composed configuration, or to one sentence and exit status 2. Imports no torch: it must be quick."""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose, main, version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path, get_args_parser
from hydra.core.config_search_path import SearchPathElement
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from vae_lightning.errors import MEMORY, UserError, nearest, out_of_memory

VERSION_BASE = "1.3"
PATH_KEYS = ("run", "resume")  # their values are paths, taken as typed


def conf_dir() -> Path:
    """The package's own copy of the configuration (a wheel's), else the repository's."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "conf"


def run_app(task: Callable[[DictConfig], Any], config_name: str) -> None:
    """Checks the command line, then lets Hydra run `task` on what it composes. Exits as `with_messages` says."""
    sys.argv[1:] = quote_paths(sys.argv[1:])
    sys.path.append(os.getcwd())  # so that a `_target_` may name a module that lies where the command is typed

    def checked_task(config: DictConfig) -> None:
        with_messages(lambda: task(config))

    with_messages(lambda: sys.argv.extend(check_command_line(sys.argv[1:], config_name)))
    main(version_base=VERSION_BASE, config_path=str(conf_dir()), config_name=config_name)(checked_task)()


def run_name(name: str | None, data: str, model: str) -> str:
    """The name of a run that was given none: `<data>-<model>`."""
    return f"{data}-{model}" if name is None else name


def with_messages(action: Callable[[], Any]) -> None:
    """Runs `action`; what a person can mend ends as one sentence on stderr and its exit status, the rest as a traceback."""
    try:
        action()
    except UserError as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print_error(str(error))
        sys.exit(error.status)
    except MissingMandatoryValue as error:
        print_error(f"{error.full_key} is not set: add {error.full_key}=…; --help lists what there is.")
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error) or os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        print_error(MEMORY)
        sys.exit(1)
    except KeyboardInterrupt:
        print_error("interrupted.")
        sys.exit(130)


def print_error(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """`run=outputs/beta=4` as Hydra can parse it: paths are quoted, each of a comma-separated list under --multirun."""
    several = "-m" in arguments or "--multirun" in arguments

    def quoted(argument: str) -> str:
        key, equals, value = argument.partition("=")
        if key not in PATH_KEYS or not equals or not value or value[0] in "'\"" or value == "null":
            return argument
        parts = value.split(",") if several else [value]
        return f"{key}=" + ",".join(_quoted(part) for part in parts)

    return [quoted(argument) for argument in arguments]


def _quoted(text: str) -> str:
    """As Hydra's grammar takes any text."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def with_overrides(config: DictConfig, texts: Sequence[str], groups: Sequence[str], config_name: str) -> DictConfig:
    """A copy of a run's configuration with overrides as they are typed: options of `groups`, and keys that are there.

    An option is composed anew, with the keys of its group that the run was given before. UserError for what does not exist.
    """
    changed = config.copy()
    if not texts:
        return changed
    with _hydra([]):
        loader = GlobalHydra.instance().config_loader()
        overrides = [_parse(text, loader) for text in texts]
        _refuse_sweeps(overrides)
        for override in overrides:
            if override.is_delete() or override.is_add() or override.is_force_add():
                raise UserError(f"{override.input_line}: keys of a run can be changed, not added or removed.")
            _check_option(override, loader)
        chosen = [override for override in overrides if _is_group(override, loader)]
        for override in chosen:
            _choose(changed, override, groups, config_name)
        plain = [override for override in overrides if override not in chosen]
        _check_keys(changed, plain, loader)
        for override in plain:
            OmegaConf.update(changed, override.key_or_group, override.value(), merge=False)
    return changed


def _choose(config: DictConfig, override: Override, groups: Sequence[str], config_name: str) -> None:
    """Another option of a group; of groups that are not in `groups`, only the name is noted."""
    group = _group(override)
    if group in groups:
        given = [*config.get("overrides", []), *(text for entry in config.get("resumes") or [] for text in entry.overrides)]
        keys = [text.lstrip("+").partition("=")[0] for text in given if text.lstrip("+").startswith(f"{group}.")]
        kept = {key: OmegaConf.select(config, key) for key in keys}
        composed = OmegaConf.to_container(_compose(config_name, [override.input_line or ""])[group], resolve=True)
        config[group] = composed
        for key, value in kept.items():
            if OmegaConf.select(config, key.rpartition(".")[0]) is not None:
                OmegaConf.update(config, key, value, merge=False)
    config.choices[group] = override.value()


# -------------------------------------------------------------------- checks before Hydra


def check_command_line(arguments: Sequence[str], config_name: str) -> list[str]:
    """Raises UserError for what Hydra would refuse at length: unknown options and keys, overrides that do not parse.

    Returns what is to be added to the arguments: the name of a sweep's folder.
    """
    parsed = get_args_parser().parse_args(list(arguments))
    if parsed.help or parsed.hydra_help or parsed.shell_completion:
        return []
    name = parsed.config_name or config_name
    with _hydra(_search_path(parsed)):
        loader = GlobalHydra.instance().config_loader()
        overrides = [_parse(text, loader) for text in parsed.overrides]
        if not parsed.multirun:
            _refuse_sweeps(overrides)
        for override in overrides:
            _check_option(override, loader)
        plain = [override for override in overrides if not _is_group(override, loader)]
        for variant in _variants(overrides):
            groups = [text for text, override in variant if override not in plain]
            _check_keys(_compose(name, groups), plain, loader)
            _compose(name, [text for text, _ in variant])
        first = [text for text, _ in next(_variants(overrides))]
        return _sweep_folder(name, first) if parsed.multirun and config_name == "train" else []


def _sweep_folder(config_name: str, overrides: Sequence[str]) -> list[str]:
    """The override that names the folder of this sweep, unless one was given."""
    if any(text.lstrip("+").startswith("hydra.sweep.dir=") for text in overrides):
        return []
    config = compose(config_name, overrides=list(overrides), return_hydra_config=True)
    name = run_name(config.name, config.hydra.runtime.choices["data"], config.hydra.runtime.choices["model"])
    folder = Path(config.output_dir) / "sweeps" / name / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"
    return [f"hydra.sweep.dir={_quoted(str(folder))}"]


def _search_path(parsed: Any) -> list[str]:
    """Where options are looked for beside the program's own: --config-dir and hydra.searchpath."""
    folders = [str(Path(parsed.config_dir).absolute())] if parsed.config_dir else []
    for text in parsed.overrides:
        key, _, value = text.partition("=")
        if key == "hydra.searchpath":
            folders += [part.strip(" '\"") for part in value.strip("[]").split(",") if part.strip()]
    return folders


@contextmanager
def _hydra(folders: Sequence[str]) -> Iterator[None]:
    """Hydra over the program's configuration and `folders`, gone again at the end."""
    version.setbase(VERSION_BASE)
    search_path = create_config_search_path(str(conf_dir()))
    for folder in folders:
        # before the last place, which Hydra keeps for schemas
        search_path.get_path().insert(
            -1, SearchPathElement("command-line", folder if "://" in folder else f"file://{Path(folder).absolute()}")
        )
    GlobalHydra.instance().clear()
    Hydra.create_main_hydra2("check", search_path)
    try:
        yield
    finally:
        GlobalHydra.instance().clear()


def _parse(text: str, loader: Any) -> Override:
    try:
        return OverridesParser.create(config_loader=loader).parse_override(text)
    except HydraException as error:
        hint = "quote a value that holds spaces, commas or = (key='\"a=b\"')" if "=" in text else "overrides are key=value"
        raise UserError(f"{text!r} cannot be read as an override: {hint}.") from error


def _refuse_sweeps(overrides: Sequence[Override]) -> None:
    for override in overrides:
        if override.is_sweep_override():
            text = override.input_line
            raise UserError(f"{text} lists several values: add -m to run them all, or write a list as {_as_list(text)}.")


def _as_list(text: str | None) -> str:
    key, _, value = (text or "").partition("=")
    return f"{key}=[{value}]"


def _is_group(override: Override, loader: Any) -> bool:
    return not override.is_delete() and bool(loader.get_group_options(_group(override)))


def _group(override: Override) -> str:
    return override.get_key_element().split("@")[0].lstrip("+~")


def _check_option(override: Override, loader: Any) -> None:
    """The chosen options of a group exist."""
    if not _is_group(override, loader):
        return
    group = _group(override)
    options = loader.get_group_options(group)
    chosen = list(override.sweep_string_iterator()) if override.is_sweep_override() else [override.value()]
    for value in chosen:
        for option in value if isinstance(value, list) else [value]:
            text = option.text if isinstance(option, QuotedString) else str(option)
            if option is not None and text not in options and text != "null":
                raise UserError(f"{group}={text}: no such option.{nearest(text, options)} Allowed: {', '.join(options)}.")


def _variants(overrides: Sequence[Override]) -> Iterator[list[tuple[str, Override]]]:
    """The command line with the first value of each sweep; then, one sweep at a time, with each other value."""
    values = {
        i: list(override.sweep_string_iterator())
        for i, override in enumerate(overrides)
        if override.is_sweep_override() and not override.is_interval_sweep()
    }

    def line(chosen: dict[int, int]) -> list[tuple[str, Override]]:
        texts = []
        for i, override in enumerate(overrides):
            if i in values:
                texts.append((f"{override.get_key_element()}={values[i][chosen.get(i, 0)]}", override))
            elif not override.is_sweep_override():
                texts.append((override.input_line or "", override))
        return texts

    yield line({})
    for i, choices in values.items():
        for place in range(1, len(choices)):
            yield line({i: place})


def _check_keys(config: DictConfig, plain: Sequence[Override], loader: Any) -> None:
    """Every plain key is there to be set."""
    for override in plain:
        key = override.key_or_group
        if override.is_add() or override.is_force_add() or key.startswith("hydra"):
            continue
        known = list(_keys(config))
        if key not in known:
            words = [*known, *loader.list_groups("")]
            leaf = key.rpartition(".")[2]
            near = nearest(key, words) or nearest(leaf, {k.rpartition(".")[2] for k in known})
            raise UserError(f"{override.input_line}: there is no key {key!r}.{near} {_siblings(key, config)}")


def _keys(config: DictConfig, prefix: str = "") -> Iterator[str]:
    for name in config:
        key = f"{prefix}{name!s}"
        yield key
        node = config._get_node(name)
        if isinstance(node, DictConfig) and not node._is_none() and not node._is_interpolation():
            yield from _keys(node, f"{key}.")


def _siblings(key: str, config: DictConfig) -> str:
    parent = key.rpartition(".")[0]
    node = OmegaConf.select(config, parent) if parent else config
    if not isinstance(node, DictConfig):
        node, parent = config, ""
    names = [str(name) for name in node if not str(name).startswith("_") and name != "hydra"]
    return f"Keys{f' of {parent}' if parent else ''}: {', '.join(names)}."


def _compose(config_name: str, overrides: Sequence[str]) -> DictConfig:
    try:
        return compose(config_name, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_one_sentence(error)) from error


def _one_sentence(error: Exception) -> str:
    """Hydra's message without its line breaks and internals; the deepest cause says most."""
    deepest: BaseException = error
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    lines = [line.strip() for line in str(deepest).splitlines()]
    text = " ".join(line for line in lines if line and not line.startswith(("full_key", "object_type", "reference_type")))
    return re.sub(r"\s+", " ", text).rstrip(".") + "."
