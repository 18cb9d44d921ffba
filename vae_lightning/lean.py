"""What keeps Lightning's share of a training step small; measured by `benchmarks/throughput.py`.

A step of a small VAE takes 5 ms on a laptop, and what surrounds it took 1.5 ms of that.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Profiles nothing, without making a new context for each of a step's forty actions."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return _NOTHING


@contextmanager
def lean_steps() -> Iterator[None]:
    """For the time of a training run: no search for GPUs at each step, and no garbage collection of what was imported.

    torch's optimizers ask at every step whether an accelerator is there, which loads the driver's library anew each time where
    there is none (0.3 ms); an empty CUDA_VISIBLE_DEVICES answers at once. Set only on machines without a GPU.
    """
    hide = "CUDA_VISIBLE_DEVICES" not in os.environ and not torch.cuda.is_available()
    if hide:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if hide:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
