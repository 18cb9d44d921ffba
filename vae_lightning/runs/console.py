"""What a command prints: first the composition, and last a table of results and the paths of the files it wrote."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from omegaconf import DictConfig, OmegaConf
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table

from vae_lightning.config.builtin import CONFIG_GROUPS, conf_dir
from vae_lightning.config.plain import plain_dict
from vae_lightning.errors import format_value, printable
from vae_lightning.evaluation.measures.base import ERROR_SUFFIX
from vae_lightning.evaluation.metrics import digits_of, unit_of

if TYPE_CHECKING:
    from vae_lightning.models.vae import VAE

_ALWAYS = ("max_epochs", "log_every_n_steps")  # arguments of the Trainer that are always printed


class RunLog:
    """Prints to the terminal (unless `quiet`) and, after `keep`, to `run.log` in the run folder, warnings included."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(highlight=False, quiet=quiet)
        self._file: TextIO | None = None
        self._handler: logging.Handler | None = None

    def keep(self, folder: Path) -> None:
        """From now on, also writes to `run.log` in the folder."""
        path = folder / "run.log"
        self._file = path.open("a", encoding="utf-8")
        self._handler = logging.StreamHandler(self._file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._showwarning, warnings.showwarning = warnings.showwarning, self._log_warning
        for name in ("py.warnings", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).addHandler(self._handler)

    def _log_warning(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Log a warning, as `logging.captureWarnings` does; a program that uses that itself could not get it back as it was."""
        if file is not None:
            self._showwarning(message, category, filename, lineno, file, line)
        else:
            logging.getLogger("py.warnings").warning("%s", warnings.formatwarning(message, category, filename, lineno, line))

    def say(self, renderable: RenderableType) -> None:
        """Print a text or a table. Control characters in a text are escaped, since it may quote the name of a file."""
        if isinstance(renderable, str):
            renderable = "\n".join(map(printable, renderable.split("\n")))
        self.console.print(renderable, soft_wrap=isinstance(renderable, str))
        if self._file is not None:
            # without `force_jupyter=False`, rich would show it in a notebook once more and write nothing to the file
            file = Console(file=self._file, width=120, highlight=False, force_jupyter=False)
            file.print(renderable, soft_wrap=isinstance(renderable, str))

    def close(self) -> None:
        """Close `run.log`."""
        if self._handler is not None:
            for name in ("py.warnings", "lightning.pytorch", "lightning.fabric"):
                logging.getLogger(name).removeHandler(self._handler)
            if warnings.showwarning == self._log_warning:
                warnings.showwarning = self._showwarning
            self._handler = None
        if self._file is not None:
            self._file.close()
            self._file = None


def describe_composition(config: DictConfig, vae: VAE, details: dict[str, str]) -> str:
    """Describe a composition: a line for each config group with its option and arguments, then shapes, sizes and `details`.

    Args:
        config: the run's configuration.
        vae: its VAE.
        details: more lines, by label.
    """
    lines = [(group, config.choices[group], _group(config, group)) for group in CONFIG_GROUPS if group in config.choices]
    lines.append(("trainer", config.choices.trainer, _trainer(config.trainer)))
    encoder, decoder = (sum(p.numel() for p in part.parameters()) for part in (vae.encoder, vae.decoder))
    total = sum(p.numel() for p in vae.parameters())
    lines.append(("shapes", f"x {'×'.join(str(n) for n in vae.shape)} → z {'×'.join(map(str, vae.code_shape))}", ""))
    lines.append(("parameters", f"{total:,} (encoder {encoder:,}, decoder {decoder:,})", ""))
    return aligned(config.name, [*lines, *((key, value, "") for key, value in details.items())])


def aligned(title: str, lines: Sequence[tuple[str, str, str]]) -> str:
    """Three aligned columns, never wrapped, so that paths can be copied and searched for."""
    short = [second for _, second, third in lines if third]
    first, second = max(len(line[0]) for line in lines), max((len(s) for s in short), default=0)
    rows = [f"{a:<{first}}  [bold]{escape(b)}[/bold]{' ' * (second - len(b))}  {escape(c)}".rstrip() for a, b, c in lines]
    return "\n".join([f"[bold]{escape(title)}[/bold]"] * bool(title) + rows)


def results_table(title: str, columns: dict[str, dict[str, Any]], rows: Sequence[str]) -> Table:
    """Return a table with one column per split and one row per metric, with its standard error, if there is one, and its unit.

    Args:
        title: above the table.
        columns: the values by metric name, by split.
        rows: metrics in order; those without a value are left out.
    """
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    table.add_column("unit", style="dim")
    for row in rows:
        if any(row in values for values in columns.values()):
            both = ((values.get(row), values.get(f"{row}{ERROR_SUFFIX}")) for values in columns.values())
            table.add_row(row, *(format_metric(*pair, digits_of(row)) for pair in both), unit_of(row))
    return table


def describe_paths(entries: Iterable[tuple[str, Path]]) -> str:
    """List paths with their labels."""
    return aligned("", [(label, relative_path(path), "") for label, path in entries])


def relative_path(path: Path) -> str:
    """Return the path relative to the current folder, if it is below it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def format_metric(value: float | None, error: float | None = None, digits: int = 2) -> str:
    """Format a value as `-107.42`, or with its error as `0.948 ± 0.010`, to two digits of the error; a count as `15 ± 0`.

    Args:
        value: the value; None gives an empty text.
        error: its standard error; None if it has none.
        digits: the number of decimals of a value without an error, or with an error of 0.
    """
    if value is None:
        return ""
    if error == 0 and not isinstance(value, float):
        return f"{value} ± 0"
    if error is not None:
        decimals = min(4, max(1, 1 - math.floor(math.log10(error)))) if error > 0 else digits
        shown = f"{value:.{decimals}f}" if isinstance(value, float) else f"{value}"
        return f"{shown} ± {error:.{decimals}f}"
    return f"{value:.{digits}f}" if isinstance(value, float) else f"{value}"


def _group(config: DictConfig, group: str) -> str:
    """Return the arguments of a config group; for a subgroup such as objective/bound, its option and arguments."""
    parts = {str(key): config.choices.get(f"{group}/{key}") for key in config[group] if f"{group}/{key}" in config.choices}
    own = {key: value for key, value in config[group].items() if key not in parts}
    words = [_arguments(OmegaConf.create(own))]
    for name, option in parts.items():
        arguments = _arguments(config[group][name])
        words.append(f"{name}={option}" + (f"({arguments})" if arguments else ""))
    return " ".join(word for word in words if word)


def _trainer(node: DictConfig) -> str:
    """Describe the Trainer: how long it trains, how often it logs, and what differs from trainer=auto."""
    auto, values = plain_dict(OmegaConf.load(conf_dir() / "trainer" / "auto.yaml"), resolve=False), plain_dict(node)
    return _words({k: v for k, v in values.items() if k in _ALWAYS or k not in auto or v != auto[k]})


def _arguments(node: DictConfig) -> str:
    """Return the node's arguments, except those that are null or false."""
    return _words({k: v for k, v in plain_dict(node).items() if not (v is None or v is False)})


def _words(values: Mapping[str, object]) -> str:
    return " ".join(f"{k!s}={_short(v)}" for k, v in values.items() if not str(k).startswith("_"))


def _short(value: object) -> str:
    """Format a value as typed on the command line, and an object as `Linear(value=25.0 start=0.0 …)`."""
    if isinstance(value, dict) and "_target_" in value:
        return f"{str(value['_target_']).rpartition('.')[2]}({_arguments(OmegaConf.create(value))})"
    return format_value(value)
