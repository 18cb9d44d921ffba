"""Build the object that a node of the configuration describes: the only place that calls `hydra.utils.instantiate`.

Errors name the configuration's keys. Imports no torch.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vae_lightning.config.kinds import check_kind, check_parts
from vae_lightning.config.messages import one_line, one_sentence
from vae_lightning.config.plain import plain_dict
from vae_lightning.config.private_apis import is_too_large
from vae_lightning.config.signatures import check_arguments
from vae_lightning.errors import InvalidValue, RunError, UserError, format_value


def instantiate_node(config: DictConfig, key: str, known: Mapping[str, object] | None = None, **given: object) -> Any:
    """Build the object that the node `key` describes.

    Args:
        config: the whole configuration, which the node may refer to.
        key: the node, such as `objective.bound`.
        known: what is known of the data and the model so far. The node, and each node in it, gets those that its constructor
            takes and the configuration does not set.
        given: arguments in addition to those of the configuration.

    Raises:
        UserError: an argument is wrong or unknown, or the class cannot be imported; the message names the key.
        RunError: the object does not fit into memory.
    """
    node = OmegaConf.select(config, key)
    try:
        _, target = _target(key, node)
        parts = {name: instantiate_node(config, f"{key}.{name}", known) for name in _nodes_in(node)}
        check_parts(key, target, parts, {name: node[name]._target_ for name in parts})
        given = {**known_arguments(node, known or {}), **parts, **given}
        _check(config, key, node, target, given)
        made = instantiate(node, _convert_="all", **given)
        check_kind(key, node._target_, made)
        return made
    except OmegaConfBaseException as error:
        raise UserError(f"{key}: {one_line(error)}") from error
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, InvalidValue):
            raise name_config_key(config, key, cause) from error
        if isinstance(cause, UserError):
            raise cause from error
        if isinstance(cause, ModuleNotFoundError):
            raise UserError(f"{key} needs a package that is not installed: {_install(key, cause)}.") from error
        if isinstance(cause, Exception) and is_too_large(cause):
            raise RunError(f"{key} does not fit into memory: make it smaller ({sizes(node)}).") from error
        raise UserError(f"{key}: {one_line(cause or error)}") from error


def check_node(config: DictConfig, key: str) -> None:
    """Check the arguments of the node `key` by the signature of its class, without building it.

    Raises:
        UserError: an argument is wrong or unknown, or the class cannot be imported; the message names the key.
    """
    node = OmegaConf.select(config, key)
    _check(config, key, node, _target(key, node)[1], {})


def _nodes_in(node: DictConfig) -> list[str]:
    """Return the names of the nodes directly inside a node; they are built first, each under its own key."""
    if node.get("_recursive_", True) is False:
        return []
    return [str(name) for name, part in node.items_ex(resolve=False) if isinstance(part, DictConfig) and "_target_" in part]


def known_arguments(node: DictConfig, known: Mapping[str, object]) -> dict[str, object]:
    """Return those of `known` that the constructor of a node takes and the configuration does not set."""
    try:
        taken = inspect.signature(get_object(node._target_)).parameters
    except (TypeError, ValueError):  # a builtin without a signature
        return {}
    return {name: value for name, value in known.items() if name in taken and name not in node}


def _check(config: DictConfig, key: str, node: DictConfig, target: Callable[..., object], given: Mapping[str, object]) -> None:
    """Raise UserError if an argument of the node is unknown, missing or of a wrong type."""
    try:
        check_arguments(key, node._target_, target, plain_dict(node), given)
    except InvalidValue as error:
        raise name_config_key(config, key, error) from error


def instantiate_list(config: DictConfig, key: str) -> list[Any]:
    """Build the objects of a list of nodes; an empty list for null.

    Raises:
        UserError: it is not a list of nodes, or an object cannot be built.
    """
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
    """Return the same error, naming the configuration's key instead of the constructor's argument."""
    return InvalidValue(source_key(config, key, error.name), error.value, error.allowed)


def source_key(config: DictConfig, key: str, name: str) -> str:
    """Return the key that sets the argument `name` of the node `key`: `beta`, if the node refers to it by `${beta}`."""
    node = OmegaConf.select(config, key)
    if not isinstance(node, DictConfig) or name not in node:
        return name if name in config else f"{key}.{name}"
    if not OmegaConf.is_interpolation(node, name):
        return f"{key}.{name}"
    text = plain_dict(node, resolve=False)[name]
    return f"{key}.{name}" if ":" in text else text[2:-1]


def _target(key: str, node: object) -> tuple[str, Callable[..., object]]:
    """Return the name in a node's `_target_`, and the class or function of that name."""
    if node is None:
        raise UserError(f"{key} is not set, but a run needs it: choose one of its options ({key}=…).")
    path = node.get("_target_") if isinstance(node, DictConfig) else None
    if not isinstance(path, str) or not path:
        what = f"{key}={format_value(node)}" if path is None else f"{key}._target_={format_value(path)}"
        raise UserError(f"{what}: must be an option, whose _target_ is the dotted name of a class.")
    try:
        target = get_object(path)
    except Exception as error:  # importing a module runs whatever it holds
        raise UserError(
            f"{key}._target_={format_value(path)}: cannot be imported ({one_sentence(error).rstrip('.')})."
        ) from error
    if not callable(target):
        raise UserError(
            f"{key}._target_={format_value(path)}: must be the dotted name of a class, not of a {type(target).__name__}."
        )
    return path, target


def sizes(node: DictConfig) -> str:
    """Return the numbers of a node as they would be typed, such as `hidden=[512] latent_dim=16`."""
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    return " ".join(
        f"{name!s}={format_value(v)}" for name, v in values.items() if isinstance(v, int | list) and not isinstance(v, bool)
    )


def _install(key: str, missing: ModuleNotFoundError) -> str:
    """Say how to install it: the extra named like the option, or the one that requires the package; else the package's name."""
    package = (missing.name or "").partition(".")[0]
    try:
        requirements, extras = requires("vae-lightning") or [], metadata("vae-lightning").get_all("Provides-Extra") or []
    except PackageNotFoundError:  # this package runs from its source
        requirements, extras = [], []
    marked = (re.match(r"([\w-]+).*extra == [\"'](\w+)", requirement) for requirement in requirements)
    bringing = [match[2] for match in marked if match and match[1] == package and match[2] != "dev"]
    for extra in (key.rpartition(".")[2], *bringing):
        if extra in extras:
            return f"pip install 'vae-lightning[{extra}]'"
    return missing.name or " ".join(str(missing).split())
