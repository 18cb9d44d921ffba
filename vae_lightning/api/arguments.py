"""Overrides as users type them, on a command line or in `vl.train(…)`: paths are quoted, sweeps recognised. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

from vae_lightning.config.compose import quote
from vae_lightning.sweeps.resume import resumed_arguments

QUOTES = "'\""
PATH_KEYS = ("run", "runs", "page", "resume", "resume_sweep", "init_from")  # their values are paths, taken as typed


def as_multirun(arguments: Sequence[str]) -> list[str]:
    """Add -m if `sweep=<option>` asks for a sweep; replace `resume_sweep=<folder>` by the command line of that sweep."""
    resumed = resumed_arguments(arguments)
    if resumed is not None:
        return resumed
    modes = ("-m", "--multirun", "-r", "--run", "-c", "--cfg", "-i", "--info", "-h", "--help")
    chosen = any(a.startswith("sweep=") and a not in ("sweep=null", "sweep=") for a in arguments)
    return ["--multirun", *arguments] if chosen and not any(a.split("=")[0] in modes for a in arguments) else list(arguments)


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quote paths, so that Hydra can parse `run=outputs/beta=4`; under --multirun, each path of a comma-separated list."""
    several = "-m" in arguments or "--multirun" in arguments

    def with_quotes(argument: str) -> str:
        key, equals, value = argument.partition("=")
        if key not in PATH_KEYS or not equals or value in ("", "null") or is_quoted(value) or (several and value[0] in QUOTES):
            return argument
        parts = value.split(",") if several else [value]
        return f"{key}=" + ",".join(quote(part) for part in parts)

    return [with_quotes(argument) for argument in arguments]


def is_quoted(text: str) -> bool:
    """Whether the whole text is in quotes (`'a b'`), rather than containing one (`'90s/runs`)."""
    return len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES
