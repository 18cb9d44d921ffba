"""TensorBoard, with training and validation on one chart, and HParams. For `metrics.csv`, see `metrics_csv.py`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from vae_lightning.errors import check_int
from vae_lightning.evaluation.metrics import HPARAMS_METRICS, METRICS
from vae_lightning.training.log_files import event_files, flushed_size

ROOT = ""  # the writer for pictures, HParams and test metrics; there are two more, for `train` and `val`


class TensorBoard(TensorBoardLogger):
    """Writes event files to the run folder, with one writer for training and one for validation below it.

    `train/elbo` and `val/elbo` become the tag `epoch/elbo` of the writers `train` and `val`, so that TensorBoard draws them on
    one chart; `train_step/elbo` becomes `step/elbo`.

    Args:
        save_dir: the run folder.
        label: a folder in the run folder for the event files. TensorBoard names runs after their folders, so the runs of a
            sweep are named after their overrides.
        projector_images: test images whose codes go to the projector when the run ends; 0 for none.
    """

    _KINDS: ClassVar = {"train": ("train", "epoch"), "val": ("val", "epoch"), "train_step": ("train", "step")}

    def __init__(self, save_dir: str | Path, label: str | None = None, projector_images: int = 1000) -> None:
        super().__init__(save_dir, name="", version=folder_name(label or ""), default_hp_metric=False)
        self.projector_images = check_int("projector_images", projector_images, 0)
        self.purge_step: int | None = None
        self._writers: dict[str, SummaryWriter] = {}

    def resume_from_step(self, step: int) -> None:
        """Tell a running TensorBoard to forget later steps that it has read, since they will be written again."""
        self.purge_step = step + 1

    def training_ended(self) -> None:
        """Keep the steps of this run in event files that are opened from now on."""
        self.purge_step = None

    @rank_zero_only
    def sizes(self) -> dict[str, int]:
        """Return the size of each event file in bytes, after flushing, for the checkpoint."""
        self.save()
        folder = Path(self.save_dir)
        return {str(path.relative_to(folder)): flushed_size(path) for path in event_files(folder)}

    @property
    def log_dir(self) -> str:
        return str(Path(self.root_dir) / str(self.version))

    @property
    @rank_zero_experiment
    def experiment(self) -> SummaryWriter:
        return self._writer(ROOT)

    @rank_zero_only
    def save(self) -> None:
        """Flush the files. Lightning would also write hyperparameters to hparams.yaml, but `config.yaml` holds them."""
        self._writer(ROOT)
        for writer in self._writers.values():
            writer.flush()

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        for name, value in metrics.items():
            kind, _, metric = name.partition("/")
            if kind in self._KINDS:
                split, interval = self._KINDS[kind]
                self._writer(split).add_scalar(f"{interval}/{metric}", value, step)
            elif metric:  # not the bare "epoch" that comes with every row
                self.experiment.add_scalar(name, value, step)

    @rank_zero_only
    def log_picture(self, name: str, picture: np.ndarray, step: int) -> None:
        """Add a picture, uint8 (height, width, 3)."""
        self.experiment.add_image(name, picture, step, dataformats="HWC")

    @rank_zero_only
    def log_hparams(self, params: dict[str, Any], has_density: bool = True, first: Collection[str] = ()) -> None:
        """Add this run to the HParams tab; `log_results` adds its metrics later.

        Args:
            params: the hyperparameters.
            has_density: whether the posterior has a density, without which there is no ELBO and no KL.
            first: hyperparameters to show before the others; the tab hides most columns at first.
        """
        names = [name for name in HPARAMS_METRICS if has_density or not METRICS[name].needs_density]
        metrics = {f"hp/{name}": float("nan") for name in names}
        columns = hparams(params, metrics)[0]
        put_first(columns.value[0].metadata.plugin_data, first)
        self.experiment.file_writer.add_summary(columns, 0)  # before Lightning's own summary: TensorBoard uses the first
        self.log_hyperparams(params, metrics, step=0)

    @rank_zero_only
    def log_results(self, metrics: dict[str, float], step: int) -> None:
        for name in HPARAMS_METRICS:
            if name in metrics:
                self.experiment.add_scalar(f"hp/{name}", metrics[name], step)
        self.save()

    def close_before_fork(self) -> None:
        """Close the files before worker processes are forked, since the threads that write them do not survive a fork.

        The next metric opens new files. Otherwise a forked process would wait forever for data that was still to be written.
        """
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.close_before_fork()

    def _writer(self, split: str) -> SummaryWriter:
        if split not in self._writers:
            self._writers[split] = SummaryWriter(str(Path(self.log_dir) / split), purge_step=self.purge_step)
        return self._writers[split]


def put_first(plugin_data: Any, names: Collection[str]) -> None:
    """Mark these hyperparameters as different between runs: the HParams tab shows such columns first."""
    content = HParamsPluginData.FromString(plugin_data.content)
    for info in content.experiment.hparam_infos:
        info.differs = info.name in names
    plugin_data.content = content.SerializeToString()


def folder_name(label: str) -> str:
    """Return the label as a folder name that is valid on every system."""
    return re.sub(r"[^\w=.,+\-\[\] ]", "_", label)[:120].strip(". ")


def archive_csv_logs(logger: Logger) -> None:
    """Rename the folder of Lightning's CSVLogger before a resume (csv to csv_1, csv_2 …): the logger would delete it."""
    if isinstance(logger, CSVLogger) and Path(logger.log_dir).is_dir():
        folder, n = Path(logger.log_dir), 1
        while folder.with_name(f"{folder.name}_{n}").exists():
            n += 1
        folder.rename(folder.with_name(f"{folder.name}_{n}"))
