"""The texts that `--help`, `--help <group>` and `--version` print, wrapped to the terminal's width. Imports no torch."""

from __future__ import annotations

import ast
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.compose import Composer, hydra_composer
from vae_lightning.config.flags import check_flags, parse_flags, user_folders
from vae_lightning.config.overrides import parse
from vae_lightning.config.unknown_keys import check_option
from vae_lightning.errors import UserError, did_you_mean

PACKAGES = ("vae-lightning", "torch", "lightning", "hydra-core")
FOOTER = "HYDRA_FULL_ERROR=1 shows tracebacks."
TRAIN_FOOTER = f"""\
--help <group> describes a group's options, such as --help objective.
Choose an option with group=option, set a value with key=value. -m sweeps over
comma-separated values, --cfg job prints the complete configuration, and
--shell-completion installs completion. {FOOTER}
"""


def help_text(arguments: Sequence[str], config_name: str) -> str | None:
    """Return the text of `--help`, `--help <group> …` or `--version`; None if the command line asks for none of them.

    Raises:
        UserError: there is no such group or option.
    """
    flags = parse_flags(arguments)
    check_flags(flags)
    if flags.version:
        return ", ".join(f"{name} {version(name)}" for name in PACKAGES) + "\n"
    words = [word for word in flags.overrides if "=" not in word and not word.startswith("~")]
    if not (flags.help or (flags.hydra_help and words)):
        return None
    with hydra_composer(user_folders(flags)) as composer:
        if words:
            return "\n".join(_describe(word.rstrip("/"), composer) for word in words)
        for text in flags.overrides:
            check_option(parse(text, composer.loader), composer)
        if config_name != "train":
            return f"{config_name}: keys and their defaults (set with key=value)\n\n{_keys(config_name)}\n{FOOTER}\n"
        top = [name for name in composer.groups if name not in ("hydra", "published")]
        groups = [name for group in top for name in (group, *(f"{group}/{sub}" for sub in composer.loader.list_groups(group)))]
        lines = "".join(_hanging(f"{group}: ", ", ".join(composer.options(group))) for group in groups if composer.options(group))
        return f"train: groups and their options\n\n{lines}\nkeys and their defaults\n\n{_keys(config_name)}\n{TRAIN_FOOTER}"


def terminal_width() -> int:
    """Return the width of the terminal; 80 if the output is not a terminal."""
    return shutil.get_terminal_size((80, 24)).columns if sys.stdout.isatty() else 80


def _hanging(head: str, text: str, indent: int = 4) -> str:
    """Return a head with a wrapped text beside it."""
    return (
        textwrap.fill(text, terminal_width(), initial_indent=head, subsequent_indent=" " * indent, break_on_hyphens=False) + "\n"
    )


def _keys(config_name: str) -> str:
    """Return the keys of a command's file with their comments, without the defaults list and Hydra's own settings."""
    text = (conf_dir() / f"{config_name}.yaml").read_text(encoding="utf-8")
    body = text.partition("\nhydra:")[0].partition("\n\n")[2]
    return "\n".join(line for shown in _paragraphs(body.splitlines()) for line in shown) + "\n"


def _paragraphs(lines: Sequence[str]) -> Iterator[list[str]]:
    """Yield each line of a yaml file; a comment that does not fit beside its key is wrapped and goes above it."""
    width, comment = terminal_width(), ""
    for line in lines:
        if line.startswith("# "):
            comment += line[1:]
            continue
        code, _, beside = line.partition(" # ")
        indent = " " * (len(code) - len(code.lstrip()))
        fits = not comment and len(line) <= width
        comment = f"{comment} {beside}".strip()
        yield [line] if fits else [*_comment(comment, indent, width), code]
        comment = ""


def _comment(text: str, indent: str, width: int) -> list[str]:
    head = f"{indent}# "
    return textwrap.wrap(text, width, initial_indent=head, subsequent_indent=head, break_on_hyphens=False)


def _describe(group: str, composer: Composer) -> str:
    options = composer.options(group)
    if not options:
        groups = [name for name in composer.groups if name != "hydra"]
        hint = did_you_mean(group, groups)
        raise UserError(f"--help {group}: unknown group.{hint} Groups: {', '.join(groups)}; --help alone lists the keys.")
    width = max(map(len, options))
    indent = len(group) + width + 3
    return "".join(_hanging(f"{group}={option:<{width}}  ", _line(group, option), indent).rstrip() + "\n" for option in options)


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
    """Return the first line of a class's docstring, without importing it; for a class of another package, its dotted name."""
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
