"""What a checkpoint holds beside weights, optimizer and schedules, so that the next step is the one that would have come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lightning.pytorch import LightningModule

from vae_lightning.errors import UserError
from vae_lightning.metrics import gather_over_ranks
from vae_lightning.noise import key
from vae_lightning.position import Position, layout, position
from vae_lightning.random_states import random_states, restore_random_states, seed_random_states


def run_state(module: Any) -> dict[str, Any]:
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
        "position": {"epoch": place.epoch, "batch": place.batch, "layout": layout(trainer), "resumable": not trainer.validating},
        "recorder": module.recorder.state_dict(),
        "images": float(sum(gather_over_ranks(module.recorder.means.sums[-1] if place.batch else 0.0))),
        "ranks": gather_over_ranks({"means": module.recorder.means.state_dict(), "random": random_states()}),
        "files": files,
    }


@dataclass
class Resumed:
    """What was read from the checkpoint that a run goes on from, kept until training begins; empty for a new run."""

    position: Position = field(default_factory=lambda: Position(0, 0))
    layout: dict[str, Any] = field(default_factory=dict)
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
        for name, now in layout(module.trainer).items():
            before = self.layout[name]
            if now != before:
                error = UserError(
                    f"{name}={now}: was {before} when the checkpoint was written, after {self.position.batch} batches of epoch "
                    f"{self.position.epoch}, and can only change between epochs: go on with {before}."
                )
                raise error if module.trainer.is_global_zero else SystemExit(0)

    def set_random_states(self, module: Any) -> None:
        """Those of the checkpoint; of a new run, as its seed says, in each process others."""
        if self.random is None:
            seed_random_states(key(module.seed, "global", module.global_rank))
        else:
            restore_random_states(self.random)
            self.random = None
