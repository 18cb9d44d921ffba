"""Lightning's loop over the batches of an epoch, with the usual training step written out."""

from __future__ import annotations

from typing import Any

import lightning
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.loops.fetchers import _DataFetcher, _PrefetchDataFetcher
from lightning.pytorch.loops.training_epoch_loop import _TrainingEpochLoop
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.trainer.call import _call_callback_hooks
from torch import Tensor

from vae_lightning.lean import NoProfiler, is_idle

KNOWN = ("2.5.", "2.6.")  # versions whose step has been read; another may do more in it
BACKWARD_HOOKS = ("on_before_zero_grad", "on_before_backward", "on_after_backward", "on_before_optimizer_step")
MODULE_HOOKS = (*BACKWARD_HOOKS, "on_train_batch_start", "on_train_batch_end", "backward", "optimizer_step")


class EpochLoop(_TrainingEpochLoop):
    """Does what Lightning's loop does: the usual step with fewer calls on the way to it, any other by Lightning's own code.

    The usual step: one device, one optimizer, no gradients accumulated or clipped, no hook around backward, no profiler.
    """

    written_out = False

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        self.written_out = isinstance(data_fetcher, _PrefetchDataFetcher) and has_usual_step(self.trainer)

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """One batch; StopIteration after the last."""
        if self.restarting or not self.written_out:
            super().advance(data_fetcher)
            return
        trainer, progress = self.trainer, self.batch_progress
        if self.val_loop.restarting:
            self.val_loop.restarting = False
        batch, _, _ = next(data_fetcher)
        index = self.batch_idx + 1
        progress.is_last_batch = data_fetcher.done
        batch = trainer.lightning_module._apply_batch_transfer_handler(batch, trainer.strategy.root_device)
        progress.increment_ready()
        trainer._logger_connector.on_batch_start(batch)
        _call_callback_hooks(trainer, "on_train_batch_start", batch, index)
        progress.increment_started()
        outputs = self.step(batch, index)
        progress.increment_processed()
        self.update_lr_schedulers("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self.update_lr_schedulers("epoch", update_plateau_schedulers=False)
        _call_callback_hooks(trainer, "on_train_batch_end", outputs, batch, index)
        trainer._logger_connector.on_batch_end()
        progress.increment_completed()
        trainer._logger_connector.update_train_step_metrics()

    def step(self, batch: Any, index: int) -> dict[str, Tensor]:
        """Loss, gradients and new weights, in a closure, as torch's optimizers have it; the loss without its graph."""
        trainer: Any = self.trainer
        module: Any = trainer.lightning_module
        optimizer, done = trainer.optimizers[0], self.automatic_optimization.optim_progress.optimizer
        outputs = {}

        def closure() -> Tensor:
            module._current_fx_name = "training_step"  # for self.log in it
            with trainer.precision_plugin.train_step_context():
                loss = module.training_step(batch, index)
            module._current_fx_name = None
            done.zero_grad.increment_ready()
            done.zero_grad.increment_started()
            module.optimizer_zero_grad(trainer.current_epoch, index, optimizer)
            done.zero_grad.increment_completed()
            loss.backward()
            outputs["loss"] = loss.detach()
            return outputs["loss"]

        done.step.increment_ready()
        optimizer.step(closure)
        done.step.increment_completed()
        return outputs


def has_usual_step(trainer: Any) -> bool:
    """Whether nothing is asked of a step that is not written out above."""
    module: Any = trainer.lightning_module
    return bool(
        lightning.__version__.startswith(KNOWN)
        and module.automatic_optimization
        and type(trainer.strategy) is SingleDeviceStrategy
        and trainer.strategy.model is module
        and scales_no_gradients(trainer.precision_plugin)
        and trainer.accumulate_grad_batches == 1
        and not trainer.gradient_clip_val
        and isinstance(trainer.profiler, NoProfiler)
        and all(is_idle(module, hook, LightningModule) for hook in MODULE_HOOKS)
        and all(is_idle(callback, hook, Callback) for callback in trainer.callbacks for hook in BACKWARD_HOOKS)
    )


def scales_no_gradients(precision: Any) -> bool:
    """float32, or bfloat16 beside it: what comes back from the loss is the gradient."""
    return type(precision) is Precision or (type(precision) is MixedPrecision and precision.scaler is None)
