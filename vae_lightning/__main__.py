"""`vae-lightning train model=conv beta=4`, and `python -m vae_lightning train …`: the commands of the repository's scripts."""

from __future__ import annotations

import os
import sys

from vae_lightning.cli.startup import start
from vae_lightning.errors import did_you_mean

COMMANDS = {
    "train": "trains a VAE in a run folder of its own",
    "evaluate": "measures a trained run",
    "generate": "draws a trained run",
    "report": "answers a sweep: tables and a page of all its runs",
    "explore": "writes a page in which its latent space can be walked through",
    "export": "writes a trained encoder and decoder as ONNX and safetensors",
}
_COMPLETION = ("-sc", "--shell-completion")


def main() -> None:
    """Runs the command that is named first; without one, lists them. Exit status 2 where there is no such command."""
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    if first in _COMPLETION and "query=bash" in sys.argv:
        first = _complete_command()
    elif first in _COMPLETION:
        first = "train"  # installs completion for the program's name: any of them does
    elif first in ("", "-h", "--help"):
        sys.stdout.write(_usage())
        return
    elif first in COMMANDS:
        del sys.argv[1]
    elif "VAE_LIGHTNING_RUN_FOLDER" in os.environ:
        first = "train"  # a process that DDP started with the arguments of the first, its command taken off
    if first not in COMMANDS:
        sys.stderr.write(
            f"error: there is no command {first!r}.{did_you_mean(first, COMMANDS)} Commands: {', '.join(COMMANDS)}.\n"
        )
        sys.exit(2)
    start(first)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {what}" for name, what in COMMANDS.items()]
    return "\n".join(["vae-lightning <command> [key=value …]", *lines, "vae-lightning <command> --help lists its keys.", ""])


def _complete_command() -> str:
    """The command on the line to be completed, which is taken off it for Hydra; prints the commands where none is there yet."""
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
