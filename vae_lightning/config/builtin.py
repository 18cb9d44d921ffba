"""The shipped configuration: its folder, its groups, and the classes that it names. Fast to import."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

KeyPath = tuple[str, ...]


def conf_dir() -> Path:
    """Return the folder `conf`: inside the package in a wheel, else in the repository."""
    package = Path(__file__).parents[1]
    return package / "conf" if (package / "conf").is_dir() else package.parent / "conf"


def is_special(key: object) -> bool:
    """Whether the key is an instruction to Hydra: `_target_`, `_partial_`, `_args_` and so on."""
    return isinstance(key, str) and len(key) > 2 and key.startswith("_") and key.endswith("_")


def walk_entries(content: object, parents: KeyPath = ()) -> Iterator[tuple[KeyPath, Any, Any]]:
    """(parents, key, value) for every entry of nested mappings and lists; `parents` are the keys that lead to it."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        yield parents, key, value
        yield from walk_entries(value, (*parents, str(key)))


@cache
def special_entries() -> frozenset[tuple[KeyPath, str, Any]]:
    """Return every `_target_` and other special key in the shipped files: (keys that lead to it once composed, key, value)."""
    found = set()
    for path in conf_dir().rglob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        start = _package(text, path.relative_to(conf_dir()).parent.parts)
        found |= {(parents, key, value) for parents, key, value in walk_entries(yaml.safe_load(text), start) if is_special(key)}
    return frozenset(found)


def _package(text: str, folder: KeyPath) -> KeyPath:
    """Return where Hydra puts the content of a file: the path of its folder, unless its first line says `# @package`."""
    header = re.match(r"#\s*@package\s+(\S+)", text)
    if header is None:
        return folder
    return () if header[1] == "_global_" else tuple(header[1].split("."))


def option_node(group: str, option: str) -> DictConfig:
    """Return the content of a shipped file, such as that of `sampler=gmm`, with its defaults."""
    node = OmegaConf.load(conf_dir() / group / f"{option}.yaml")
    assert isinstance(node, DictConfig)
    return node


# the values that a paper reports: part of an experiment's file, but neither a setting nor part of a run
PUBLISHED = "published"

# the groups that describe an experiment, in the order in which they are printed
CONFIG_GROUPS = (
    "data",
    "model",
    "posterior",
    "prior",
    "hierarchy",
    "condition",
    "likelihood",
    "objective",
    "beta_schedule",
    "optimizer",
    "lr_schedule",
    "sampler",
)
AFTER_TRAINING = ("sampler",)  # those of them that change nothing about the training
