"""What a checkpoint holds besides weights, optimizer and schedules, so that a resumed run takes the same next step.

It holds the position in the data, the random states of each process, the running means of the metrics, and the sizes of the log
files. `checkpoint_state` collects this state; `Resumed` restores it when training begins.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vae_lightning.errors import UserError
from vae_lightning.noise import derive_seed
from vae_lightning.training.data_position import Position, batch_layout, position
from vae_lightning.training.ranks import gather_over_ranks

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule


def checkpoint_state(module: VAEModule) -> dict[str, Any]:
    """Collect the state as plain data and tensors. Called in every process at once.

    `files` has the sizes in bytes of metrics.csv and the event files, after flushing them to the disk. A resume truncates them to
    these sizes, since whatever was written later will be written again.
    """
    trainer = module.trainer
    reached = position(trainer)
    files: dict[str, int] = {}
    for logger in trainer.loggers:
        if hasattr(logger, "sizes") and trainer.is_global_zero:
            files |= logger.sizes()
    return {
        "position": {
            "epoch": reached.epoch,
            "batch": reached.batch,
            "layout": batch_layout(trainer),
            "resumable": not trainer.validating,
        },
        "recorder": module.recorder.state_dict(),
        "images": float(sum(gather_over_ranks(module.recorder.means.sums[-1] if reached.batch else 0.0))),
        "ranks": gather_over_ranks({"means": module.recorder.means.state_dict(), "random": random_states()}),
        "files": files,
    }


@dataclass
class Resumed:
    """What was read from the checkpoint of a resumed run, kept until training begins; empty for a new run."""

    position: Position = field(default_factory=lambda: Position(0, 0))
    batch_layout: dict[str, Any] = field(default_factory=dict)
    random: dict[str, Any] | None = None

    @classmethod
    def of(cls, module: VAEModule, checkpoint: dict[str, Any]) -> Resumed:
        """Read the checkpoint and restore the recorder.

        If the number of processes has changed, their random states and running means are not restored, and the run can only be
        resumed at the start of an epoch.
        """
        ranks, reached = checkpoint["ranks"], checkpoint["position"]
        own = ranks[module.global_rank] if len(ranks) == module.trainer.world_size else None
        module.recorder.load_state_dict(checkpoint["recorder"], own and own["means"], checkpoint["images"])
        return cls(Position(reached["epoch"], reached["batch"]), reached["layout"], own and own["random"])

    def check_layout(self, module: VAEModule) -> None:
        """Raise UserError if a setting that the batches depend on was changed within an epoch."""
        if not self.position.batch:
            return
        for name, now in batch_layout(module.trainer).items():
            before = self.batch_layout[name]
            if now != before:
                error = UserError(
                    f"{name}={now}: was {before} when the checkpoint was written, after {self.position.batch} batches of epoch "
                    f"{self.position.epoch}, and can only change between epochs: resume with {before}."
                )
                raise error if module.trainer.is_global_zero else SystemExit(0)

    def set_random_states(self, module: VAEModule) -> None:
        """Restore the random states, or seed them per rank for a new run."""
        if self.random is None:
            seed_random_states(derive_seed(module.seed, "global", module.global_rank))
        else:
            restore_random_states(self.random)
            self.random = None


def has_trainer(module: VAEModule) -> bool:
    """Whether the module has a trainer; it has none in Lightning's `load_from_checkpoint`."""
    try:
        return module.trainer is not None
    except RuntimeError:
        return False


def random_states() -> dict[str, Any]:
    """Return the states of the generators of Python, NumPy, torch on the CPU, and on each CUDA device if the process uses CUDA.

    Asking for CUDA's states would initialise CUDA, even in a run on the CPU.
    """
    version, words, gauss = random.getstate()
    state: Any = np.random.get_state()  # noqa: NPY002
    kind, numpy_words, position, has_gauss, numpy_gauss = state
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, numpy_words.tolist(), int(position), int(has_gauss), float(numpy_gauss)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def seed_random_states(seed: int) -> None:
    """Seed all global generators, so that the user's own code is reproducible too."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def restore_random_states(states: dict[str, Any]) -> None:
    """Restore all global generators; those of CUDA only if the number of devices is the same."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kind, numpy_words, *rest = states["numpy"]
    np.random.set_state((kind, np.array(numpy_words, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_initialized() and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


def cuda_note(ranks: Sequence[dict[str, Any]], device: torch.device) -> list[str]:
    """Return a message if CUDA's random states cannot be restored because the number of devices has changed."""
    before, now = len(ranks[0]["random"]["cuda"]), torch.cuda.device_count() if device.type == "cuda" else 0
    if before == now:
        return []
    return [
        f"The checkpoint has the random states of {before} CUDA devices, but this run uses {now}: they are not restored. Only "
        "code of your own that draws random numbers on the GPU is affected."
    ]
