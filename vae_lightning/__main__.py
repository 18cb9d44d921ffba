"""`vae-lightning train model=conv beta=4` or `python -m vae_lightning train …`: the same commands as the scripts."""

from __future__ import annotations

import os
import sys

from vae_lightning.cli.startup import output, start
from vae_lightning.errors import did_you_mean

COMMANDS = {
    "train": "train a VAE in a new run folder",
    "evaluate": "measure a trained run",
    "generate": "make pictures from a trained run",
    "report": "summarise a sweep: tables and a page of all its runs",
    "explore": "make an interactive page to explore the latent space",
    "export": "export encoder and decoder as ONNX and safetensors",
}
_COMPLETION = ("-sc", "--shell-completion")


def main() -> None:
    """Run the command named by the first argument; list the commands if there is none. Exit status 2 for an unknown command."""
    with output():
        command = _command()
    if command is not None:
        start(command)


def _command() -> str | None:
    """Return the command to start, whose name is removed from the arguments; None after printing the list of commands."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first in _COMPLETION and "query=bash" in sys.argv:
        first = _complete_command()
    elif first in _COMPLETION:
        first = "train"  # install completion for the program's name: any command can
    elif first in ("", "-h", "--help"):
        sys.stdout.write(_usage())
        return None
    elif first in COMMANDS:
        del sys.argv[1]
    elif "VAE_LIGHTNING_RUN_FOLDER" in os.environ:
        first = "train"  # DDP started this process with the arguments of the first one, from which the command was removed
    if first not in COMMANDS:
        sys.stderr.write(f"error: unknown command {first!r}.{did_you_mean(first, COMMANDS)} Commands: {', '.join(COMMANDS)}.\n")
        sys.exit(2)
    return first


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["vae-lightning <command> [key=value …]", *lines, "vae-lightning <command> --help lists its keys.", ""])


def _complete_command() -> str:
    """Return the command on the line to complete and remove it there for Hydra; without one, print the commands and exit."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split(maxsplit=2)
    if len(words) < 2 or (len(words) == 2 and not line.endswith(" ")):
        sys.stdout.write(" ".join(name for name in COMMANDS if name.startswith(words[1] if len(words) > 1 else "")))
        sys.exit(0)
    rest = f"{words[0]} {words[2] if len(words) > 2 else ''}"
    os.environ["COMP_LINE"], os.environ["COMP_POINT"] = rest, str(len(rest))
    return words[1]


if __name__ == "__main__":
    main()
