"""Which images make up which batch: index tensors, as a pure function of (seed, epoch, rank).

On a resume, these samplers skip the batches already seen; `training/data_position.py` says how many there are, and
`training/datamodule.py` passes the number on as `skip`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Sampler, SequentialSampler

from vae_lightning.noise import derive_seed


class ShuffledBatches(Sampler[Tensor]):
    """One epoch of training batches, in the order of a permutation drawn from (seed, epoch).

    With several processes (`world`), process `rank` takes every `world`-th index of the permutation. All take the same number, so
    up to world − 1 images at its end wait for another epoch. Together they see the batches that a single process with a batch
    `world` times as large would see. `skip` is how many batches of `epoch` a resumed run has already seen; the length stays that
    of a whole epoch.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        seed: int,
        epoch: int = 0,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        skip: int = 0,
    ) -> None:
        self.share = size // world
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self.epoch, self.rank, self.world, self.drop_last = epoch, rank, world, drop_last
        self.skip = skip

    def set_epoch(self, epoch: int) -> None:
        self.epoch, self.skip = epoch, self.skip if epoch == self.epoch else 0

    def __len__(self) -> int:
        full, rest = divmod(self.share, self.batch_size)
        return full if self.drop_last or rest == 0 else full + 1

    def __iter__(self) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "shuffle", self.epoch))
        order = torch.randperm(self.size, generator=generator)
        mine = order[self.rank : self.share * self.world : self.world]
        return iter(mine.split(self.batch_size)[self.skip : len(self)])


class OrderedBatches(SequentialSampler):
    """Every image once, in order, without padding; of `world` processes, each takes every `world`-th image, from its `rank` on.

    `epoch` and `skip` are as in `ShuffledBatches`.
    """

    def __init__(self, size: int, batch_size: int, rank: int = 0, world: int = 1, epoch: int = 0, skip: int = 0) -> None:
        super().__init__(range(size))
        self.epoch, self.skip = epoch, skip
        self.batches = torch.arange(size)[rank::world].split(batch_size)  # empty if there are fewer images than processes

    def set_epoch(self, epoch: int) -> None:
        self.epoch, self.skip = epoch, self.skip if epoch == self.epoch else 0

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Tensor]:  # type: ignore[override]
        return iter(self.batches[self.skip :])
