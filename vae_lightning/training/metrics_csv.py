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
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from vae_lightning.errors import RunError
from vae_lightning.training.log_files import flushed_size


class MetricsCSV(Logger):
    """Appends rows to `metrics.csv` and flushes at once; the header is fixed by the first row.

    `images_per_second` is left out, so that two runs of one seed write the same file.
    """

    # the columns of every run; other metrics of its objective follow in the order of the first row
    COLUMNS = ("kind", "epoch", "step", "elbo", "reconstruction", "kl", "loss", "beta", "lr", "active_units")

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Write nothing: `config.yaml` holds the hyperparameters."""

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
        more = [name for name in row if name not in (*self.COLUMNS, "images_per_second")]
        with self.path.open("a+", newline="") as file:
            file.seek(0)
            try:
                header = file.readline().split()
            except UnicodeDecodeError as error:
                raise RunError(f"{self.path} is damaged (it is not UTF-8 text): move it away, and resume again.") from error
            columns = header[0].split(",") if header else [*self.COLUMNS, *more]
            writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
            if not header:
                writer.writeheader()
            writer.writerow(row)
