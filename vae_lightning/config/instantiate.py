"""One node of the configuration → one object: the only place that calls `hydra.utils.instantiate`.

What goes wrong is told in terms of the configuration's keys. Imports no torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.config.signatures import check_arguments
from vae_lightning.errors import InvalidValue, RunError, UserError, format_value


def instantiate_node(config: DictConfig, key: str, known: Mapping[str, Any] | None = None, **given: Any) -> Any:
    """The object that the node `key` describes, with the arguments `given` besides.

    known: what is known of data and model by now; the node, or a node within it, gets those that its constructor asks for.
    UserError, in terms of the configuration's keys, where its arguments are wrong.
    """
    node = OmegaConf.select(config, key)
    try:
        given = {**known_arguments(node, known or {}), **given}
        _check(config, key, node, given)
        return instantiate(node, _convert_="all", **given)
    except OmegaConfBaseException as error:
        raise UserError(f"{key}: {one_line(error)}") from error
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, InvalidValue):
            part = re.search(r"full_key: (\S+)", str(error))  # the node itself, or one within it
            raise name_config_key(config, part[1] if part else key, cause) from error
        if isinstance(cause, UserError):
            raise cause from error
        if isinstance(cause, ModuleNotFoundError):
            raise UserError(f"{key} needs what is not installed: {_install(key, cause)}.") from error
        if isinstance(cause, Exception) and looks_out_of_memory(cause):
            raise RunError(f"{key} does not fit into memory: make it smaller ({sizes(node)}).") from error
        raise UserError(f"{key}: {one_line(cause or error)}") from error


def known_arguments(node: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """What of `known` the constructor of a node takes; for nodes within it, a mapping by their name."""
    if not isinstance(node, DictConfig) or "_target_" not in node or not known:
        return {}
    try:
        taken = inspect.signature(get_object(node._target_)).parameters
    except Exception:  # `_target` says what is wrong
        return {}
    below = {str(name): known_arguments(part, known) for name, part in node.items_ex(resolve=False)}
    own = {name: value for name, value in known.items() if name in taken and name not in node}
    return own | {name: asked for name, asked in below.items() if asked}


def _check(config: DictConfig, key: str, node: Any, given: Mapping[str, Any]) -> None:
    """UserError where an argument of the node, or of a node within it, is none or of a wrong type."""
    path, target = _target(key, node)
    for name, part in node.items_ex(resolve=False):
        if isinstance(part, DictConfig) and "_target_" in part:
            _check(config, f"{key}.{name}", part, given.get(str(name), {}))
    try:
        check_arguments(key, path, target, OmegaConf.to_container(node, resolve=True), given)  # type: ignore[arg-type]
    except InvalidValue as error:
        raise name_config_key(config, key, error) from error


def instantiate_list(config: DictConfig, key: str) -> list[Any]:
    """The objects of a list of nodes; none where it is null."""
    nodes = OmegaConf.select(config, key)
    if nodes is None:
        return []
    if not isinstance(nodes, ListConfig) or not all(isinstance(node, DictConfig) and "_target_" in node for node in nodes):
        raise InvalidValue(key, nodes, "null or a list of mappings that have a _target_")
    try:
        return list(instantiate(nodes, _convert_="all"))
    except InstantiationException as error:
        raise UserError(f"{key}: {one_line(error.__cause__ or error)}") from error


def name_config_key(config: DictConfig, key: str, error: InvalidValue) -> InvalidValue:
    """The same error, naming the configuration's key instead of the argument of what the node `key` builds."""
    return InvalidValue(source_key(config, key, error.name), error.value, error.allowed)


def source_key(config: DictConfig, key: str, name: str) -> str:
    """Where the argument `name` of the node `key` was set: `beta`, if the node only says `${beta}`."""
    node = OmegaConf.select(config, key)
    value = node._get_node(name) if isinstance(node, DictConfig) and name in node else None
    if value is None:
        return name if name in config else f"{key}.{name}"
    text = value._value()
    if isinstance(text, str) and text.startswith("${") and ":" not in text:
        return text[2:-1]
    return f"{key}.{name}"


def _target(key: str, node: Any) -> tuple[str, Any]:
    """The class (or function) that a node names, and the name."""
    if node is None:
        raise UserError(f"{key} is not set, and a run needs it: choose one of its options ({key}=…).")
    path = node.get("_target_") if isinstance(node, DictConfig) else None
    if not isinstance(path, str) or not path:
        what = f"{key}={format_value(node)}" if path is None else f"{key}._target_={format_value(path)}"
        raise UserError(f"{what}: must be an option, whose _target_ is the dotted name of a class.")
    try:
        target = get_object(path)
    except Exception as error:  # importing a module runs whatever it holds
        raise UserError(
            f"{key}._target_={format_value(path)}: cannot be imported ({one_line(_deepest(error)).rstrip('.')})."
        ) from error
    if not callable(target):
        raise UserError(
            f"{key}._target_={format_value(path)}: must be the dotted name of a class, not of a {type(target).__name__}."
        )
    return path, target


def one_line(error: BaseException) -> str:
    """The message of a library's error as one line; its type too where the message is but a name or a number."""
    lines = [line for line in str(error).splitlines() if not line.strip().startswith(("full_key:", "object_type="))]
    text = " ".join(" ".join(lines).split()).rstrip(".!")
    return f"{text}." if " " in text else f"{type(error).__name__} {text}".rstrip() + "."


def _deepest(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else _deepest(error.__cause__)


def looks_out_of_memory(error: BaseException) -> bool:
    return (
        isinstance(error, MemoryError) or "memory" in str(error) or "Overflow" in type(error).__name__ or "overflow" in str(error)
    )


def sizes(node: DictConfig) -> str:
    """The numbers of a node, as they were set."""
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return " ".join(
        f"{name!s}={format_value(v)}" for name, v in values.items() if isinstance(v, int | list) and not isinstance(v, bool)
    )


def _install(key: str, missing: ModuleNotFoundError) -> str:
    """How to get it: by the extra of the option's name, or the one that brings the missing package, if there is one."""
    package = (missing.name or "").partition(".")[0]
    try:
        requirements, extras = requires("vae-lightning") or [], metadata("vae-lightning").get_all("Provides-Extra") or []
    except PackageNotFoundError:  # run from its source
        requirements, extras = [], []
    marked = (re.match(r"([\w-]+).*extra == [\"'](\w+)", requirement) for requirement in requirements)
    bringing = [match[2] for match in marked if match and match[1] == package and match[2] != "dev"]
    for extra in (key.rpartition(".")[2], *bringing):
        if extra in extras:
            return f"pip install 'vae-lightning[{extra}]'"
    return missing.name or " ".join(str(missing).split())
