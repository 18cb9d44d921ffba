"""An exponential moving average of the weights, which is validated, drawn, saved and evaluated in their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vae_lightning.errors import check_number
from vae_lightning.runs.checkpoint_schema import check_finite, check_tensors, damaged

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule


class EMA(Callback):
    """w̄ ← d·w̄ + (1 − d)·w after each optimizer step n = 1, 2, …, with d = min(decay, (1 + n)/(10 + n)).

    It averages the parameters and buffers of the VAE; a discriminator of the objective is used as it is. w̄ begins as the first
    weights, and the smaller d of the first steps lets it forget them. Validation and pictures use w̄, and a checkpoint's
    `state_dict` holds it, so every command does. The weights that are trained are part of the callback's own state, so that a
    run is resumed bit for bit.

    Args:
        decay: d after the first steps; at 0.999 it averages over about the last 1,000 steps.
    """

    state_key = "ema"

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = check_number("decay", decay, 0, 1)
        if self.decay == 1:
            check_number("decay", decay, 0, 1 - 1e-9)
        self.step = 0
        self.average: dict[str, Tensor] = {}  # w̄ by name; empty before training
        self.trained: dict[str, Tensor] = {}  # what a checkpoint holds of w, until training begins

    @property
    def in_words(self) -> str:
        """What the run's weights are."""
        return f"an exponential moving average of those that are trained, decay {self.decay:g}"

    def on_fit_start(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]  # our module
        """Start from the weights of the module; on a resume these are w̄, as in `state_dict`, and w is put in their place."""
        weights = averaged_tensors(pl_module)
        self.average = {name: value.detach().clone() for name, value in weights.items()}
        with torch.no_grad():
            for name, value in self.trained.items():
                weights[name].copy_(value)
        self.trained = {}

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: VAEModule,  # type: ignore[override]  # our module
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        if trainer.global_step == self.step:  # gradients are being accumulated
            return
        self.step = trainer.global_step
        self.update(averaged_tensors(pl_module))

    @torch.no_grad()
    def update(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights after optimizer step `self.step` into the average."""
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        floating = [name for name, value in weights.items() if value.is_floating_point()]
        if floating:
            update = get_ema_multi_avg_fn(decay)
            update([self.average[name] for name in floating], [weights[name].detach() for name in floating], self.step)
        for name in weights.keys() - set(floating):  # counts
            self.average[name].copy_(weights[name])

    @torch.no_grad()
    def swap(self, module: VAEModule) -> None:
        """Exchange the module's weights and the average, in place; nothing before training."""
        weights = averaged_tensors(module)
        for name, average in self.average.items():
            current = weights[name].clone()
            weights[name].copy_(average)
            average.copy_(current)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]
        self.swap(pl_module)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]
        self.swap(pl_module)

    @torch.no_grad()
    def on_train_end(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]
        """Leave the average in the module: the run is measured with it, also if it has no checkpoint."""
        for name, value in averaged_tensors(pl_module).items():
            value.copy_(self.average[name])

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step, "trained": self.trained}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.step, self.trained = state_dict["step"], state_dict["trained"]

    def on_save_checkpoint(self, trainer: Trainer, pl_module: VAEModule, checkpoint: dict[str, Any]) -> None:  # type: ignore[override]
        """Put w̄ into the checkpoint's `state_dict`, and w into the state of this callback."""
        if not self.average:
            return
        weights = checkpoint["state_dict"]
        checkpoint["callbacks"][self.state_key] = {
            "step": self.step,
            "trained": {name: weights[f"vae.{name}"] for name in self.average},
        }
        checkpoint["state_dict"] = {**weights, **{f"vae.{name}": value for name, value in self.average.items()}}

    def check_state(self, path: Path, state: Mapping[str, Any], module: VAEModule) -> None:
        """Check the state in a checkpoint before anything is restored.

        Args:
            path: the checkpoint.
            state: the callback's state in it.
            module: the module of the run.

        Raises:
            RunError: it does not hold the weights of this model.
        """
        trained, step = state.get("trained"), state.get("step")
        if state.keys() != {"step", "trained"} or not isinstance(trained, Mapping) or type(step) is not int:
            raise damaged(path, "callbacks.ema does not match this run")
        check_tensors(path, trained, averaged_tensors(module))
        check_finite(path, trained)


def averaged_tensors(module: VAEModule) -> dict[str, Tensor]:
    """Return the parameters and buffers of the VAE that a checkpoint holds, by name; not copies."""
    return dict(module.vae.state_dict())


@contextmanager
def run_weights(trainer: Trainer, module: VAEModule) -> Iterator[None]:
    """Let the module have the weights of the run in this block: their average, if the trainer has the callback `EMA`."""
    averages = [callback for callback in trainer.callbacks if isinstance(callback, EMA)]  # type: ignore[attr-defined]
    for callback in averages:
        callback.swap(module)
    try:
        yield
    finally:
        for callback in averages:
            callback.swap(module)
