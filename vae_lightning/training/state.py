"""What a checkpoint holds beside weights, optimizer and schedules, so that the next step is the one that would have come."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule

from vae_lightning.errors import UserError
from vae_lightning.noise import derive_seed
from vae_lightning.training.data_position import Position, batch_layout, position
from vae_lightning.training.ranks import gather_over_ranks


def checkpoint_state(module: Any) -> dict[str, Any]:
    """Plain data and tensors: the place in the data, sums of metrics, random states of each process, and sizes of files.

    `files` are the bytes that metrics.csv and the event files have now, after they were flushed to the disk: what is written
    later is cut away on a resume, since it will be written again. Called by every process at once.
    """
    trainer = module.trainer
    place = position(trainer)
    files: dict[str, int] = {}
    for logger in trainer.loggers:
        if hasattr(logger, "sizes") and trainer.is_global_zero:
            files |= logger.sizes()
    return {
        "position": {
            "epoch": place.epoch,
            "batch": place.batch,
            "layout": batch_layout(trainer),
            "resumable": not trainer.validating,
        },
        "recorder": module.recorder.state_dict(),
        "images": float(sum(gather_over_ranks(module.recorder.means.sums[-1] if place.batch else 0.0))),
        "ranks": gather_over_ranks({"means": module.recorder.means.state_dict(), "random": random_states()}),
        "files": files,
    }


@dataclass
class Resumed:
    """What was read from the checkpoint that a run goes on from, kept until training begins; empty for a new run."""

    position: Position = field(default_factory=lambda: Position(0, 0))
    batch_layout: dict[str, Any] = field(default_factory=dict)
    random: dict[str, Any] | None = None

    @classmethod
    def of(cls, module: Any, checkpoint: dict[str, Any]) -> Resumed:
        """Hands the recorder its state back. A run that goes on with another number of processes begins an epoch with it."""
        ranks, place = checkpoint["ranks"], checkpoint["position"]
        own = ranks[module.global_rank] if len(ranks) == module.trainer.world_size else None
        module.recorder.load_state_dict(checkpoint["recorder"], own and own["means"], checkpoint["images"])
        return cls(Position(place["epoch"], place["batch"]), place["layout"], own and own["random"])

    def check_layout(self, module: LightningModule) -> None:
        """UserError where what the batches depend on was changed in the middle of an epoch."""
        if not self.position.batch:
            return
        for name, now in batch_layout(module.trainer).items():
            before = self.batch_layout[name]
            if now != before:
                error = UserError(
                    f"{name}={now}: was {before} when the checkpoint was written, after {self.position.batch} batches of epoch "
                    f"{self.position.epoch}, and can only change between epochs: go on with {before}."
                )
                raise error if module.trainer.is_global_zero else SystemExit(0)

    def set_random_states(self, module: Any) -> None:
        """Those of the checkpoint; of a new run, as its seed says, in each process others."""
        if self.random is None:
            seed_random_states(derive_seed(module.seed, "global", module.global_rank))
        else:
            restore_random_states(self.random)
            self.random = None


def random_states() -> dict[str, Any]:
    """Of Python, NumPy, torch on the CPU and on each CUDA device of this process."""
    version, words, gauss = random.getstate()
    state: Any = np.random.get_state()  # noqa: NPY002
    kind, numpy_words, position, has_gauss, numpy_gauss = state
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, numpy_words.tolist(), int(position), int(has_gauss), float(numpy_gauss)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def seed_random_states(seed: int) -> None:
    """Starts all of them, so that a run repeated is one for code of one's own too."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def restore_random_states(states: dict[str, Any]) -> None:
    """Sets them; CUDA's where there are as many devices as there were."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kind, numpy_words, *rest = states["numpy"]
    np.random.set_state((kind, np.array(numpy_words, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
