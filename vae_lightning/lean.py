"""What keeps Lightning's share of a training step small; measured by `benchmarks/throughput.py`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from gc import collect, freeze, unfreeze

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import PassThroughProfiler

STEP_HOOKS = (
    "on_train_batch_start",
    "on_before_zero_grad",
    "on_before_backward",
    "on_after_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
)
_NOTHING = nullcontext()
_NVML = "PYTORCH_NVML_BASED_CUDA_CHECK"


class NoProfiler(PassThroughProfiler):
    """Profiles nothing, without making a new context for each of a step's forty actions."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # type: ignore[override]
        return _NOTHING


@contextmanager
def lean_steps(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """For the time of a training run: no idle hooks, no search for GPUs at each step, no collection of what was imported.

    torch's optimizers ask at every step whether an accelerator is there. Importing Lightning sets PYTORCH_NVML_BASED_CUDA_CHECK,
    under which each answer loads the driver's library anew where there is none; torch's own check is quick.
    """
    before = os.environ.get(_NVML)
    os.environ[_NVML] = "0"
    collect()
    freeze()
    try:
        with without_idle_hooks(trainer, module):
            yield
    finally:
        unfreeze()
        if before is None:
            del os.environ[_NVML]
        else:
            os.environ[_NVML] = before


@contextmanager
def without_idle_hooks(trainer: Trainer, module: LightningModule) -> Iterator[None]:
    """The hooks of a step that nobody has overridden are None, which Lightning passes over more quickly than it calls them."""
    owners: list[tuple[object, type]] = [(module, LightningModule), *((c, Callback) for c in trainer.callbacks)]  # type: ignore[attr-defined]
    idle = [(owner, hook) for owner, base in owners for hook in STEP_HOOKS if is_idle(owner, hook, base)]
    for owner, hook in idle:
        setattr(owner, hook, None)
    try:
        yield
    finally:
        for owner, hook in idle:
            delattr(owner, hook)


def is_idle(owner: object, hook: str, base: type) -> bool:
    """Whether `owner` leaves the hook of Lightning's `base` class as it is."""
    return getattr(type(owner), hook) is getattr(base, hook)
