"""What keeps Lightning's share of a training step small; measured by `benchmarks/throughput.py`."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from lightning.pytorch.profilers import PassThroughProfiler

_NOTHING = nullcontext()
_NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"


class NoProfiler(PassThroughProfiler):
    """Profiles nothing, without making a new context for each of a step's forty actions."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return _NOTHING


@contextmanager
def lean_steps() -> Iterator[None]:
    """For the time of a training run: no search for GPUs at each step, and no garbage collection of what was imported.

    torch's optimizers ask at every step whether an accelerator is there. Importing Lightning sets PYTORCH_NVML_BASED_CUDA_CHECK,
    under which each answer loads the driver's library anew where there is none; torch's own check is quick.
    """
    before = os.environ.get(_NVML)
    os.environ[_NVML] = "0"
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        if before is None:
            del os.environ[_NVML]
        else:
            os.environ[_NVML] = before
