"""The `LightningDataModule` that serves the batches of any `ImageData`, from the position at which a run is resumed.

The order of the data on a resume: `data_position.py` says how far the run is, this module starts the sampler there, and the
sampler in `data/sampler.py` computes the batches from (seed, epoch) and skips those already seen.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from vae_lightning.data.base import ImageData
from vae_lightning.data.binarization import prepare_splits, resolve_binarization
from vae_lightning.data.images import Batch, Images
from vae_lightning.data.sampler import OrderedBatches, ShuffledBatches
from vae_lightning.errors import InvalidValue
from vae_lightning.noise import derive_seed
from vae_lightning.training.data_position import Position, position


class VAEDataModule(LightningDataModule):
    """DataLoaders whose samplers give the indices of a whole batch to the data set: no work per image, no collating.

    Args:
        data: the images.
        mode: how pixels are binarised, see `data.binarization.resolve_binarization`; None: as the data set says, and the
            likelihood of the module that is trained.
        seed: the run's seed, which determines the order of the training batches.

    Example:
        >>> Trainer(max_epochs=10).fit(VAEModule(vae), DataModule(MNIST5k(batch_size=64)))
    """

    def __init__(self, data: ImageData, mode: str | None = None, seed: int = 0) -> None:
        super().__init__()
        self.data, self.seed = data, seed
        self.mode = data.binarize if mode is None else mode
        self.splits: dict[str, Images] = {}
        self.start = Position(0, 0)

    def setup(self, stage: str) -> None:
        if self.mode == "auto":
            module: Any = None if self.trainer is None else self.trainer.lightning_module
            self.mode = resolve_binarization("auto", module is None or module.vae.likelihood.support == "binary")
        if not self.splits:
            self.splits = prepare_splits(self.data.splits(), self.mode, self.data.split_seed, training=True)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of training batches in the order of (seed, epoch), from the run's position on.

        The sampler gets the position here, since batches may be fetched before the first `set_epoch`.
        """
        rank, world = self._rank()
        # on a resume, this is the checkpoint's position (`load_state_dict`): the trainer has not loaded its own progress yet
        start = max(self.start, Position(0 if self.trainer is None else position(self.trainer).epoch, 0))
        size, batch_size = len(self.splits["train"]), self.data.batch_size
        if self.trainer is not None and self.trainer.overfit_batches:  # type: ignore[attr-defined]  # not annotated by Lightning
            # the same batches in the same order in each epoch
            return self._loader("train", OrderedBatches(size, batch_size, rank, world, start.epoch, start.batch))
        sampler = ShuffledBatches(size, batch_size, self.seed, start.epoch, rank, world, self.data.drop_last, start.batch)
        if len(sampler) == 0:
            raise InvalidValue(
                "data.batch_size", batch_size, f"at most {size // world} with data.drop_last=true, to fill a batch"
            )
        self._check_interval(len(sampler))
        return self._loader("train", sampler)

    def _check_interval(self, batches: int) -> None:
        """Report a val_check_interval longer than an epoch; Lightning's own message is many lines long."""
        trainer = self.trainer
        if trainer is None or trainer.check_val_every_n_epoch is None or not isinstance(trainer.val_check_interval, int):
            return
        limit: int | float = trainer.limit_train_batches
        used = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        if trainer.val_check_interval > used:
            raise InvalidValue(
                "trainer.val_check_interval", trainer.val_check_interval, f"at most {used}, the batches of an epoch"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the data, for the checkpoint."""
        return {} if self.trainer is None else position(self.trainer)._asdict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.start = Position(**state_dict)

    def val_dataloader(self) -> DataLoader[Batch]:
        rank, world = self._rank()
        return self._loader("val", OrderedBatches(len(self.splits["val"]), self.data.eval_batch_size, rank, world))

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of test batches, for `trainer.test`; a run measures its test images itself, see `finish.py`."""
        rank, world = self._rank()
        return self._loader("test", OrderedBatches(len(self.splits["test"]), self.data.eval_batch_size, rank, world))

    def _rank(self) -> tuple[int, int]:
        """Return the rank and the number of processes."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _loader(self, split: str, sampler: Sampler[Tensor] | OrderedBatches) -> DataLoader[Batch]:
        return DataLoader(
            self.splits[split],
            sampler=sampler,
            batch_size=None,
            collate_fn=_as_it_is,  # type: ignore[arg-type]  # a batch is not a list of samples
            num_workers=self.data.num_workers,
            persistent_workers=False,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            # its own generator, so that starting an epoch does not advance torch's global one
            generator=torch.Generator().manual_seed(derive_seed(self.seed, "loader")),
        )


DataModule = VAEDataModule  # the name in `import vae_lightning as vl`


def _as_it_is(batch: Batch) -> Batch:
    return batch  # it holds tensors already; torch's own function would search it for arrays
