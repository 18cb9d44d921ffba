"""Public ways to keep Lightning's overhead per training step small; `benchmarks/throughput.py` measures what is left."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from gc import collect, freeze, unfreeze

import torch
from lightning.pytorch.profilers import PassThroughProfiler

NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"
_NO_CONTEXT = nullcontext()


class NoProfiler(PassThroughProfiler):
    """A no-op profiler that reuses one empty context; Lightning asks for about forty per step."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return _NO_CONTEXT


@contextmanager
def low_overhead() -> Iterator[None]:
    """During the block, exempt imported objects from garbage collection, and do not search a machine without a GPU for one.

    torch's optimizers check at every step whether there is an accelerator. Importing Lightning sets
    PYTORCH_NVML_BASED_CUDA_CHECK, with which each check loads the driver's library again. On a machine with a GPU the variable is
    left unchanged: without it, the check would initialise the driver in this process, and processes forked later could not use
    the GPU.
    """
    before = os.environ.get(NVML_CHECK)
    if not torch.cuda.is_available():
        os.environ[NVML_CHECK] = "0"
    collect()
    freeze()
    try:
        yield
    finally:
        unfreeze()
        if before is None:
            os.environ.pop(NVML_CHECK, None)
        else:
            os.environ[NVML_CHECK] = before
