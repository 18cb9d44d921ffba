"""What a command prints: first what was composed, last one table of results and the paths of what it made."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from vae_lightning.build import AXES

UNITS = {"elbo": "nats", "reconstruction": "nats", "kl": "nats", "nll": "nats", "nll_standard_error": "nats"}


class Report:
    """Prints to the terminal and, once `keep` has named a folder, to `run.log` in it too, warnings and logs included."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._file: Any = None
        self._handler: logging.Handler | None = None

    def keep(self, folder: Path) -> None:
        path = folder / "run.log"
        self._file = path.open("a", encoding="utf-8")
        self._handler = logging.StreamHandler(self._file)
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logging.captureWarnings(True)
        for name in ("py.warnings", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).addHandler(self._handler)

    def say(self, renderable: Any) -> None:
        self.console.print(renderable, soft_wrap=isinstance(renderable, str))
        if self._file is not None:
            Console(file=self._file, width=120, highlight=False).print(renderable, soft_wrap=isinstance(renderable, str))

    def close(self) -> None:
        if self._handler is not None:
            for name in ("py.warnings", "lightning.pytorch", "lightning.fabric"):
                logging.getLogger(name).removeHandler(self._handler)
            logging.captureWarnings(False)
            self._handler = None
        if self._file is not None:
            self._file.close()
            self._file = None


def quiet_libraries() -> None:
    """Lightning's notes on hardware, tips and loaders say nothing that the command does not print itself."""
    import warnings

    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in (
        ".*does not have many workers.*",  # a batch is one index operation: workers would slow it down
        ".*The number of training batches.*",  # short epochs are written at their end
        ".*Checkpoint directory .* exists and is not empty.*",
        ".*LeafSpec.*is deprecated.*",
        ".*isinstance\\(treespec, LeafSpec\\).*",
        ".*You defined a `validation_step` but have no `val_dataloader`.*",
        ".*Found .* module\\(s\\) in eval mode.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def axes_table(config: DictConfig, vae: Any, extra: dict[str, str]) -> Table:
    """What was composed: one row per axis with its option and the arguments in force."""
    table = _table(config.name)
    for axis in (*AXES, "trainer"):
        table.add_row(axis, f"[bold]{config.choices[axis]}[/bold]", _arguments(config[axis]))
    encoder, decoder = (sum(p.numel() for p in part.parameters()) for part in (vae.encoder, vae.decoder))
    shape = "×".join(str(n) for n in vae.shape)
    table.add_row("shapes", f"x {shape}", f"z {vae.latent_dim}")
    table.add_row("parameters", f"{sum(p.numel() for p in vae.parameters()):,}", f"encoder {encoder:,}, decoder {decoder:,}")
    for key, value in extra.items():
        table.add_row(key, value, "")
    return table


def results_table(title: str, columns: dict[str, dict[str, Any]], rows: Sequence[str]) -> Table:
    """One column per split, one row per figure, with its unit."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, title_style="bold")
    table.add_column("")
    for name in columns:
        table.add_column(name, justify="right")
    table.add_column("unit", style="dim")
    for row in rows:
        if any(row in values for values in columns.values()):
            table.add_row(row, *(_figure(values.get(row)) for values in columns.values()), UNITS.get(row, ""))
    return table


def paths_table(paths: Iterable[tuple[str, Path]]) -> Table:
    table = _table("")
    for label, path in paths:
        table.add_row(label, relative(path))
    return table


def relative(path: Path) -> str:
    """Short where it lies below the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=None, show_header=False, pad_edge=False, title_style="bold")


def _figure(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else f"{value}"


def _arguments(node: DictConfig) -> str:
    """The node's arguments, without those that are off."""
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    shown = {k: v for k, v in values.items() if not str(k).startswith("_") and v is not None and v is not False}
    return " ".join(f"{k}={_short(v)}" for k, v in shown.items())


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return "{…}"
    return str(value).replace(" ", "").replace("True", "true")
