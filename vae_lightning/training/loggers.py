"""Where figures go: TensorBoard with train and val on one chart, and `metrics.csv`."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from vae_lightning.errors import check_int
from vae_lightning.evaluation.metrics import HPARAMS_METRICS

EVENTS = "events.out.tfevents*"


class TensorBoard(TensorBoardLogger):
    """Events in the run's folder, with one writer for training and one for validation below it.

    `train/elbo` and `val/elbo` become the tag `epoch/elbo` of the writers `train` and `val`, so that TensorBoard draws them on
    one chart; `train_step/elbo` becomes `step/elbo`. TensorBoard calls runs by their folders: with a `label`, the events lie in a
    folder of that name in the run's, so that the runs of a sweep are called by their overrides. The codes of the first
    `projector_images` test images go to the projector when the run ends (0 for none).
    """

    _KINDS: ClassVar = {"train": ("train", "epoch"), "val": ("val", "epoch"), "train_step": ("train", "step")}

    def __init__(self, save_dir: str | Path, label: str | None = None, projector_images: int = 1000) -> None:
        super().__init__(save_dir, name="", version=folder_name(label or ""), default_hp_metric=False)
        self.projector_images = check_int("projector_images", projector_images, 0)
        self._writers: dict[str, SummaryWriter] = {}

    def resume_from_step(self, step: int) -> None:
        """Tells a TensorBoard that is watching to forget what it saw of later steps: they come again."""
        self._kwargs["purge_step"] = step + 1

    @rank_zero_only
    def sizes(self) -> dict[str, int]:
        """Bytes of each event file of the run, once all that waits has been written."""
        self.save()
        folder = Path(self.save_dir)
        return {str(path.relative_to(folder)): flushed_size(path) for path in event_files(folder)}

    @property
    def log_dir(self) -> str:
        return str(Path(self.root_dir) / str(self.version))

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
    def log_hparams(self, params: dict[str, Any], has_elbo: bool = True, first: Collection[str] = ()) -> None:
        """The HParams tab's row of this run; its metrics come by `log_results`, those of the ELBO where there is one.

        first: parameters that the tab is to show before the others, of which it leaves out most until they are asked for.
        """
        names = [name for name in HPARAMS_METRICS if has_elbo or name not in ("elbo", "kl")]
        metrics = {f"hp/{name}": float("nan") for name in names}
        columns = hparams(params, metrics)[0]
        put_first(columns.value[0].metadata.plugin_data, first)
        self.experiment.file_writer.add_summary(columns, 0)  # before Lightning's own: TensorBoard takes the first
        self.log_hyperparams(params, metrics, step=0)

    @rank_zero_only
    def log_results(self, metrics: dict[str, float], step: int) -> None:
        for name in HPARAMS_METRICS:
            if name in metrics:
                self.experiment.add_scalar(f"hp/{name}", metrics[name], step)
        self.save()

    def close_before_fork(self) -> None:
        """Closes the files before processes are forked, since the threads that write them do not live on there.

        The next figure opens new ones. Without this a forked process waits for ever for what was still to be written.
        """
        for writer in (*self._writers.values(), *([] if self._experiment is None else [self._experiment])):
            writer.close()
        self._writers.clear()
        self._experiment = None

    @rank_zero_only
    def finalize(self, status: str) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        super().finalize(status)

    def _writer(self, split: str) -> SummaryWriter:
        if split not in self._writers:
            self._writers[split] = SummaryWriter(str(Path(self.log_dir) / split), **self._kwargs)
        return self._writers[split]


def put_first(plugin_data: Any, names: Collection[str]) -> None:
    """Marks the columns of an HParams tab that differ between its runs, which it sorts before the others."""
    content = HParamsPluginData.FromString(plugin_data.content)
    for info in content.experiment.hparam_infos:
        info.differs = info.name in names
    plugin_data.content = content.SerializeToString()


def folder_name(label: str) -> str:
    """The label as a folder may be called everywhere."""
    return re.sub(r"[^\w=.,+\-\[\] ]", "_", label)[:120].strip(". ")


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

    @rank_zero_only
    def sizes(self) -> dict[str, int]:
        """Bytes of the file."""
        return {self.path.name: flushed_size(self.path)} if self.path.exists() else {}

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


def archive_csv_logs(logger: Logger) -> None:
    """Renames what Lightning's CSVLogger wrote before a resume (csv to csv_1, csv_2 …), which it would delete."""
    if isinstance(logger, CSVLogger) and Path(logger.log_dir).is_dir():
        folder, n = Path(logger.log_dir), 1
        while folder.with_name(f"{folder.name}_{n}").exists():
            n += 1
        folder.rename(folder.with_name(f"{folder.name}_{n}"))


def event_files(folder: Path) -> list[Path]:
    """TensorBoard's files of a run: its own, and those of the writers below it; with a label, all of them one folder deeper."""
    return sorted(path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}{EVENTS}"))


def flushed_size(path: Path) -> int:
    """Bytes of a file that are on the disk for certain."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size


def truncate_logs(folder: Path, sizes: dict[str, int]) -> list[str]:
    """Cuts the journals of a run back to what they were when a checkpoint was written: the rest will be written again.

    Files begun since are removed. Only files that lie in the folder are touched, whatever `sizes` names. Returns the names of
    those that are shorter than they were.
    """
    short = []
    for path in [folder / "metrics.csv", *event_files(folder)]:
        name = str(path.relative_to(folder))
        if name in sizes:
            if not path.exists() or path.stat().st_size < sizes[name]:
                short.append(name)
            else:
                os.truncate(path, sizes[name])
        else:
            path.unlink(missing_ok=True)
    return short
