"""Several processes for one job of a sweep."""

from __future__ import annotations

import torch

from vae_lightning.errors import UserError
from vae_lightning.sweeps.job import parallel_jobs


def strategy_in_sweep(strategy: str) -> str:
    """The strategy that a job can be trained by; UserError where there is none.

    Plain `ddp` starts the whole command again, and so the whole sweep: a job's processes are spawned instead. A worker of the
    joblib launcher cannot spawn; it can fork, unless the driver of a GPU was begun.
    """
    if parallel_jobs() == 1:
        return "ddp_spawn" if strategy == "ddp" else strategy
    if strategy == "ddp" and not torch.cuda.is_available():
        return "ddp_fork"
    if "ddp" in strategy and strategy != "ddp_fork":
        raise UserError(
            f"trainer.strategy={strategy}: jobs that run side by side by the joblib launcher cannot have processes of their own; "
            "leave out hydra/launcher=joblib, or the strategy."
        )
    return strategy
