"""`train.py --help model`: the options of a group, with a line about each. Imports no torch."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.command_line import parse_flags, user_folders
from vae_lightning.config.compose import Composer, hydra_composer
from vae_lightning.errors import UserError, did_you_mean


def group_help(arguments: Sequence[str]) -> str | None:
    """Return what `--help <group> …` prints; None if the command line asks for something else.

    Raises:
        UserError: there is no such group.
    """
    flags = parse_flags(arguments)
    words = [word for word in flags.overrides if "=" not in word and not word.startswith("~")]
    if not (flags.help or flags.hydra_help) or not words:
        return None
    with hydra_composer(user_folders(flags)) as composer:
        return "\n".join(_describe(word.rstrip("/"), composer) for word in words)


def _describe(group: str, composer: Composer) -> str:
    options = composer.options(group)
    if not options:
        groups = [name for name in composer.groups if name != "hydra"]
        hint = did_you_mean(group, groups)
        raise UserError(f"--help {group}: unknown group.{hint} Groups: {', '.join(groups)}; --help alone lists the keys.")
    width = max(map(len, options))
    return "".join(f"{group}={option:<{width}}  {_line(group, option)}".rstrip() + "\n" for option in options)


def _line(group: str, option: str) -> str:
    """Return the comment at the top of an option's file, or the first line of its class's docstring."""
    path = conf_dir() / group / f"{option}.yaml"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    first = text.partition("\n")[0]
    if first.startswith("#") and "@package" not in first:
        return first.lstrip("# ")
    content: Any = yaml.safe_load(text)
    target = content.get("_target_") if isinstance(content, dict) else None
    return _docstring(target) if isinstance(target, str) else ""


def _docstring(target: str) -> str:
    """Return the first line of a class's docstring without importing it, or the dotted name of another package's class."""
    package, _, name = target.rpartition(".")
    if not target.startswith("vae_lightning."):
        return target
    place = Path(__file__).parents[1].joinpath(*package.split(".")[1:])
    for path in [place.with_suffix(".py"), *sorted(place.glob("**/*.py"))]:
        if path.is_file():
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and node.name == name:
                    return (ast.get_docstring(node) or target).partition("\n")[0]
    return target
