"""Hydra's flags: which of them work, and which are refused. docs/extending.md has the list.

A flag that would be ignored, or that Hydra would answer with a traceback or several lines, is refused with a sentence.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from vae_lightning.errors import UserError, format_value

SHELLS = ("bash", "zsh", "fish")
COMPLETION = ("install", "uninstall", "query")
NOT_SUPPORTED = {
    "--config-path": "add options in a folder of your own with --config-dir",
    "--experimental-rerun": "type the command again, or continue a run with resume=<run>",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        order = "; put flags such as --config-dir before the overrides" if message.startswith("unrecognized arguments") else ""
        raise UserError(f"{message}{order}; --help lists what there is.")


def flag_parser() -> argparse.ArgumentParser:
    """Hydra's documented flags and the overrides. `tests/config/test_command_line.py` compares it with Hydra's own parser."""
    parser = _Parser(add_help=False)
    parser.add_argument("overrides", nargs="*")
    for names in ("--help -h", "--hydra-help", "--version", "--resolve", "--run -r", "--multirun -m", "--shell-completion -sc"):
        parser.add_argument(*names.split(), action="store_true")
    for names in ("--package -p", "--config-path -cp", "--config-name -cn", "--config-dir -cd", "--experimental-rerun"):
        parser.add_argument(*names.split())
    parser.add_argument("--cfg", "-c", choices=["job", "hydra", "all"])
    topics = ["all", "config", "defaults", "defaults-tree", "plugins", "searchpath"]
    parser.add_argument("--info", "-i", const="all", nargs="?", choices=topics)
    return parser


def parse_flags(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the flags and overrides of a command line.

    Raises:
        UserError: a flag is unknown, or has a wrong value.
    """
    return flag_parser().parse_args(list(arguments))


def check_flags(flags: argparse.Namespace) -> None:
    """Refuse flags that are not supported, have no value, or would have no effect.

    Raises:
        UserError: one is.
    """
    for flag, remedy in NOT_SUPPORTED.items():
        if _value(flags, flag) is not None:
            raise UserError(f"{flag}: is not supported: {remedy}.")
    for flag in ("--config-name", "--config-dir", "--package"):
        if _value(flags, flag) == "":
            raise UserError(f"{flag} '': must be a name; leave it out for the usual one.")
    for flag in ("--package", "--resolve"):
        if _value(flags, flag) and (flags.cfg is None or flags.help or flags.hydra_help):
            raise UserError(f"{flag} would have no effect: it says how --cfg job prints a configuration; leave it out.")
    if flags.hydra_help and flags.overrides and not flags.help:
        raise UserError(f"--hydra-help: takes no overrides: leave {flags.overrides[0]} out.")
    if flags.shell_completion:
        _check_completion(flags.overrides)


def _value(flags: argparse.Namespace, flag: str) -> str | bool | None:
    value: str | bool | None = getattr(flags, flag.removeprefix("--").replace("-", "_"))
    return value


def _check_completion(overrides: Sequence[str]) -> None:
    pairs = [text.partition("=") for text in overrides]
    if len(pairs) != 1 or pairs[0][0] not in COMPLETION:
        raise UserError("--shell-completion: takes one of install=<shell>, uninstall=<shell> and query=<shell>.")
    action, _, shell = pairs[0]
    if shell not in SHELLS:
        raise UserError(f"--shell-completion {action}={format_value(shell)}: unknown shell. Allowed: {', '.join(SHELLS)}.")
    if action == "query" and "COMP_LINE" not in os.environ:
        raise UserError(
            f"--shell-completion query={shell}: is what the shell itself calls, with the line in COMP_LINE; to set it up, "
            f"use --shell-completion install={shell}."
        )


def user_folders(flags: argparse.Namespace) -> list[str]:
    """Return where options are found besides the shipped ones: --config-dir and hydra.searchpath.

    Raises:
        UserError: the folder of --config-dir does not exist.
    """
    folders = [str(Path(flags.config_dir).absolute())] if flags.config_dir else []
    if folders and not Path(folders[0]).is_dir():
        raise UserError(f"--config-dir {flags.config_dir}: no such folder.")
    for text in flags.overrides:
        key, _, value = text.partition("=")
        if key == "hydra.searchpath":
            folders += [part.strip(" '\"") for part in value.strip("[]").split(",") if part.strip()]
    return folders


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Return the flags that name the user's own configuration: --config-dir (absolute) and --config-name."""
    flags = parse_flags(arguments)
    folder = ["--config-dir", str(Path(flags.config_dir).absolute())] if flags.config_dir else []
    return folder + (["--config-name", flags.config_name] if flags.config_name else [])
