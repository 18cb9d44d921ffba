"""Where figures go: TensorBoard with train and val on one chart, and `metrics.csv`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch.loggers import Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.tensorboard import SummaryWriter

from vae_lightning.results import HPARAMS_METRICS


class TensorBoard(TensorBoardLogger):
    """Events in the run's folder, with one writer for training and one for validation below it.

    `train/elbo` and `val/elbo` become the tag `epoch/elbo` of the writers `train` and `val`, so that TensorBoard draws them on
    one chart; `train_step/elbo` becomes `step/elbo`.
    """

    _KINDS: ClassVar = {"train": ("train", "epoch"), "val": ("val", "epoch"), "train_step": ("train", "step")}

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__(save_dir, name="", version="", default_hp_metric=False)
        self._writers: dict[str, SummaryWriter] = {}

    @property
    def log_dir(self) -> str:
        return str(self.root_dir)

    @rank_zero_only
    def save(self) -> None:
        """Flushes; `config.yaml` holds what Lightning would write to hparams.yaml."""
        for writer in (self.experiment, *self._writers.values()):
            writer.flush()

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        for name, value in metrics.items():
            kind, _, metric = name.partition("/")
            if kind in self._KINDS:
                split, interval = self._KINDS[kind]
                self._writer(split).add_scalar(f"{interval}/{metric}", value, step)
            elif metric:  # not the bare "epoch" that comes with every row
                self.experiment.add_scalar(name, value, step)

    @rank_zero_only
    def log_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """uint8 (height, width, 3)."""
        self.experiment.add_image(name, picture, step, dataformats="HWC")

    @rank_zero_only
    def log_hparams(self, params: dict[str, Any], has_elbo: bool = True) -> None:
        """The HParams tab's row of this run; its metrics come by `log_results`, those of the ELBO where there is one."""
        names = [name for name in HPARAMS_METRICS if has_elbo or name not in ("elbo", "kl")]
        self.log_hyperparams(params, {f"hp/{name}": float("nan") for name in names}, step=0)

    @rank_zero_only
    def log_results(self, metrics: dict[str, float], step: int) -> None:
        for name in HPARAMS_METRICS:
            if name in metrics:
                self.experiment.add_scalar(f"hp/{name}", metrics[name], step)
        self.save()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        super().finalize(status)

    def _writer(self, split: str) -> SummaryWriter:
        if split not in self._writers:
            self._writers[split] = SummaryWriter(str(Path(self.log_dir) / split))
        return self._writers[split]


class MetricsCSV(Logger):
    """`metrics.csv`: a row for each thing written, appended and flushed at once; a fixed header.

    `kind` is train_step, train or val; all figures are in nats per image. Times are left out, so that a run repeated is a file
    repeated.
    """

    # what every run has; whatever else its objective reports follows, as the first row has it
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
        """Nothing: `config.yaml` holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        kinds = {name.partition("/")[0] for name in metrics if "/" in name} & {"train_step", "train", "val"}
        for kind in sorted(kinds):
            values = {name.partition("/")[2]: value for name, value in metrics.items() if name.startswith(f"{kind}/")}
            self._append({"kind": kind, "epoch": metrics.get("epoch"), "step": step, **values})

    def _append(self, row: dict[str, Any]) -> None:
        more = [name for name in row if name not in (*self.COLUMNS, "images_per_second")]
        with self.path.open("a+", newline="") as file:
            file.seek(0)
            header = file.readline().split()
            columns = header[0].split(",") if header else [*self.COLUMNS, *more]
            writer = csv.DictWriter(file, columns, extrasaction="ignore", restval="")
            if not header:
                writer.writeheader()
            writer.writerow(row)
