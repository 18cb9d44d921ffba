"""Lightning's loop over the batches of an epoch, with the usual training step written out."""

from __future__ import annotations

import math
from contextlib import nullcontext
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
    nothing_between = False  # whether nothing is due between two steps of an epoch

    def on_run_start(self, data_fetcher: _DataFetcher) -> None:
        super().on_run_start(data_fetcher)
        self.written_out = isinstance(data_fetcher, _PrefetchDataFetcher) and has_usual_step(self.trainer)
        self.nothing_between = self.written_out and has_usual_epoch(self.trainer)
        if self.written_out:
            data_fetcher._start_profiler = data_fetcher._stop_profiler = do_nothing

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
        self._update_learning_rates("step", update_plateau_schedulers=False)
        if self._num_ready_batches_reached():
            self._update_learning_rates("epoch", update_plateau_schedulers=False)
        _call_callback_hooks(trainer, "on_train_batch_end", outputs, batch, index)
        results: Any = trainer._results
        if results:
            trainer._logger_connector.on_batch_end()
        else:  # nothing was logged by self.log, so that there is nothing to hand on
            results.batch = results.batch_size = None
        progress.increment_completed()
        if results:
            trainer._logger_connector.update_train_step_metrics()

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Validation and the end of training, of which there is nothing between two steps of a usual epoch."""
        trainer = self.trainer
        last = self._num_ready_batches_reached()
        if not self.nothing_between or last or self._skip_next_val or trainer.should_stop or trainer.received_sigterm:
            super().on_advance_end(data_fetcher)
        else:
            self._batches_that_stepped += 1

    def step(self, batch: Any, index: int) -> dict[str, Tensor]:
        """Loss, gradients and new weights, in a closure, as torch's optimizers have it; the loss without its graph."""
        trainer: Any = self.trainer
        module: Any = trainer.lightning_module
        optimizer, done = trainer.optimizers[0], self.automatic_optimization.optim_progress.optimizer
        context = trainer.precision_plugin.forward_context if mixes(trainer.precision_plugin) else nullcontext
        outputs = {}

        def closure() -> Tensor:
            module._current_fx_name = "training_step"  # for self.log in it
            with context():
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


def has_usual_epoch(trainer: Any) -> bool:
    """Whether validation comes after the last batch alone, and no learning rate waits for what it says."""
    return bool(
        math.isfinite(trainer.num_training_batches)
        and trainer.val_check_batch == trainer.num_training_batches
        and trainer.check_val_every_n_epoch is not None
        and not any(config.reduce_on_plateau for config in trainer.lr_scheduler_configs)
    )


def scales_no_gradients(precision: Any) -> bool:
    """float32, or bfloat16 beside it: what comes back from the loss is the gradient."""
    return type(precision) is Precision or (mixes(precision) and precision.scaler is None)


def mixes(precision: Any) -> bool:
    return type(precision) is MixedPrecision


def do_nothing() -> None:
    """In place of the profiler, around the next batch."""
