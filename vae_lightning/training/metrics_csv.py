"""What is written to `metrics.csv`: one row for each set of metrics that `recorder.py` reports.

The columns are `kind`, `epoch`, `step` and the metrics, in nats per image. `kind` says what a row holds:

| kind | written | metrics |
|---|---|---|
| `train_step` | every `trainer.log_every_n_steps` optimizer steps | means over the steps since the last such row |
| `train` | after each epoch | means over the epoch's training steps |
| `val` | after each validation | means over the validation images |
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from vae_lightning.evaluation.metrics import CSV_METRICS, NOT_IN_CSV
from vae_lightning.training.log_files import flushed_size, read_header


class MetricsCSV(Logger):
    """Appends rows to `metrics.csv` and flushes at once; the header is fixed by the first row, also when a run is resumed.

    A metric that first appears in a later row and has no column is named in a warning, once.
    """

    # the columns of every run; other metrics of its objective follow, in the order in which it reports them
    COLUMNS = ("kind", "epoch", "step", *CSV_METRICS)

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self._expected: tuple[str, ...] = ()
        self._without_column: set[str] = set()

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing: `config.yaml` holds the hyperparameters."""

    def expect(self, names: Iterable[str]) -> None:
        """Return metrics that later rows will have a column, if the header is not written yet."""
        self._expected = tuple(names)

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Append a row for each kind of metric: `train/elbo` goes to the column `elbo` of a row of kind `train`."""
        kinds = {name.partition("/")[0] for name in metrics if "/" in name} & {"train_step", "train", "val"}
        for kind in sorted(kinds):
            values = {name.partition("/")[2]: value for name, value in metrics.items() if name.startswith(f"{kind}/")}
            self._append({"kind": kind, "epoch": metrics.get("epoch"), "step": step, **values})

    @rank_zero_only
    def sizes(self) -> dict[str, int]:
        """Return the size of the file in bytes, for the checkpoint."""
        return {self.path.name: flushed_size(self.path)} if self.path.exists() else {}

    def _append(self, row: dict[str, Any]) -> None:
        row = {name: value for name, value in row.items() if name not in NOT_IN_CSV}
        with self.path.open("a", newline="", encoding="utf-8") as file:
            header = read_header(self.path)
            columns = header or list(dict.fromkeys((*self.COLUMNS, *self._expected, *row)))
            writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
            if not header:
                writer.writeheader()
            writer.writerow(row)
        self._warn_of_lost(sorted(row.keys() - set(columns) - self._without_column))

    def _warn_of_lost(self, names: list[str]) -> None:
        if names:
            self._without_column.update(names)
            warnings.warn(f"{self.path} has no column for {', '.join(names)}: its first row did not have it.", stacklevel=2)
