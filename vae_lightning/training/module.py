"""The `LightningModule`: what happens at each training step, and what is written of it."""

from __future__ import annotations

import inspect
import math
import multiprocessing
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from vae_lightning.data.base import Batch, pixels
from vae_lightning.data.binarization import BernoulliPixels
from vae_lightning.errors import prefix_key
from vae_lightning.evaluation.elbo import SplitSums
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise, StreamNoise, derive_seed
from vae_lightning.objectives import Losses, Objective
from vae_lightning.schedules.beta import RunLength, Schedule
from vae_lightning.schedules.learning_rate import LRSchedule
from vae_lightning.schedules.scheduled_value import ScheduledValue
from vae_lightning.training import silence_warnings as quiet  # noqa: F401
from vae_lightning.training.callbacks.step_limit import total_steps
from vae_lightning.training.compile import NOT_COMPILED, CompiledObjective
from vae_lightning.training.processes.lifetime import end_with_parent
from vae_lightning.training.ranks import sum_over_ranks
from vae_lightning.training.recorder import Recorder
from vae_lightning.training.state import Resumed, checkpoint_state


class VAEModule(LightningModule):
    """Trains a `VAE` by an objective under a schedule of β.

    optimizer: parameters → torch optimizer; dynamic: draw binary pixels anew at each step; seed: of the training noise, which is
    a pure function of (seed, rank, epoch, batch); compile_mode: see `compiling`. Metrics go to the trainer's loggers as
    `train_step/…` every `log_every_n_steps`, `train/…` and `val/…` each epoch, in nats per image.
    """

    def __init__(
        self,
        vae: VAE,
        objective: Objective,
        beta_schedule: Schedule,
        optimizer: Callable[..., Optimizer],
        lr_schedule: LRSchedule,
        dynamic: bool,
        seed: int,
        compile_mode: str = NOT_COMPILED,
    ) -> None:
        super().__init__()
        self.vae, self.objective, self.beta_schedule = vae, objective, beta_schedule
        self.make_optimizer, self.lr_schedule = optimizer, lr_schedule
        self.dynamic, self.seed, self.compile_mode = dynamic, seed, compile_mode
        self.compiled: CompiledObjective | None = None
        self.bernoulli_pixels = BernoulliPixels()
        self.uses_beta = objective.uses_beta(vae)
        self.scheduled = {name: part for name, part in self.named_modules() if isinstance(part, ScheduledValue)}
        self.recorder = Recorder(self)
        self.resumed = Resumed()

    def setup(self, stage: str) -> None:
        if multiprocessing.parent_process() is not None:
            end_with_parent()
        # constants such as the prior's mean are alike in every process: DDP need not send them at each step
        constant = [name for name, _ in self.named_buffers() if name not in self.state_dict()]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(self, constant)

    # ---------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        noise = self.training_noise(batch, batch_idx)
        x = self.training_pixels(batch, noise)
        for value in self.scheduled.values():
            value.move(self.trainer.global_step)
        losses_of = self.compiled or self.objective
        losses: Losses = losses_of(self.vae, x, self.beta_schedule(self.trainer.global_step), noise, batch.labels)
        self.beta_schedule.observe(losses)
        self.recorder.step(losses, len(x))
        return losses["loss"]

    def training_noise(self, batch: Batch, batch_idx: int) -> Noise:
        """Noise that a resumed run, or another number of loader workers, draws again; each process draws its own."""
        return StreamNoise(self.generator, derive_seed(self.seed, "train", self.global_rank, self.current_epoch, batch_idx))

    def training_pixels(self, batch: Batch, noise: Noise) -> Tensor:
        """x in [0, 1], float32, dynamically binarised by `noise` where the data are."""
        if not self.dynamic:
            return pixels(batch.images)
        if isinstance(noise, StreamNoise):
            return self.bernoulli_pixels(batch.images, noise.generator)
        grey = pixels(batch.images)
        return (noise.uniform(grey) < grey).to(grey.dtype)

    def beta(self) -> float:
        """β of the step under way or just done; before the first, the one that it will have."""
        value = self.beta_schedule.in_force
        return float(self.beta_schedule(self.trainer.global_step) if value is None else value)

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameter_groups())
        with prefix_key("lr_schedule"):
            scheduler = self.lr_schedule.build(optimizer, self.run_length())
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def parameter_groups(self) -> list[dict[str, Any]]:
        """All parameters; those of the objective's that have settings of their own in groups of their own."""
        groups = self.objective.parameter_groups()
        apart = {id(parameter) for group in groups for parameter in group["params"]}
        return [{"params": [parameter for parameter in self.parameters() if id(parameter) not in apart]}, *groups]

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """As `optimizer.zero_grad()`, without the profiler's record, which takes eight times as long."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """As Lightning does, and in bfloat16 too: it refuses fused optimizers there, though only float16 scales gradients."""
        plugin = self.trainer.precision_plugin
        if gradient_clip_val and isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            Precision.clip_gradients(
                plugin, optimizer, gradient_clip_val, GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            )
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def run_length(self) -> RunLength:
        steps = total_steps(self.trainer)
        if self.trainer.train_dataloader is None:  # in a run without max_epochs, whose batches are not counted yet
            self.trainer.fit_loop.setup_data()
        batches = self.trainer.num_training_batches
        return RunLength(steps, math.ceil(batches / self.trainer.accumulate_grad_batches) if batches < math.inf else math.inf)

    def schedules(self) -> dict[str, Schedule]:
        """β's and those of the model's and the objective's parts, by name."""
        return {"beta": self.beta_schedule} | {name: value.schedule for name, value in self.scheduled.items()}

    def on_fit_start(self) -> None:
        for name, schedule in self.schedules().items():
            with prefix_key("beta_schedule" if schedule is self.beta_schedule else name.removeprefix("vae.")):
                schedule.begin(self.run_length())
        self.generator = torch.Generator(self.device)
        if self.compile_mode != NOT_COMPILED:
            self.compiled = CompiledObjective(self.objective, self.compile_mode, self.device)

    def on_fit_end(self) -> None:
        self.compiled = None

    # ---------------------------------------------------------------- what is written, and kept

    def on_train_start(self) -> None:
        self.recorder.begin()
        self.resumed.check_layout(self)
        self.resumed.set_random_states(self)

    def on_train_epoch_start(self) -> None:
        self.recorder.begin_epoch()

    def on_train_epoch_end(self) -> None:
        self.recorder.end_epoch()

    def on_validation_start(self) -> None:
        self.recorder.pause_clock()

    def on_validation_end(self) -> None:
        self.recorder.resume_clock()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.recorder.check_finite()
        checkpoint["schedules"] = {name: schedule.state_dict() for name, schedule in self.schedules().items()}
        checkpoint |= checkpoint_state(self)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name, schedule in self.schedules().items():
            schedule.load_state_dict(checkpoint["schedules"][name])
        self.resumed = Resumed.of(self, checkpoint)

    # ---------------------------------------------------------------- validation

    def on_validation_epoch_start(self) -> None:
        self.val_sums = SplitSums(self.vae.latent_dim, "val")

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.val_sums.add(self.vae, batch)

    def on_validation_epoch_end(self) -> None:
        self.val_sums.sums = sum_over_ranks(self.val_sums.sums, self.device)
        metrics = self.val_sums.metrics()
        # for checkpoints and early stopping, which read the trainer's metrics
        self.log_dict({f"val/{name}": float(value) for name, value in metrics.items()}, logger=False)
        if not self.trainer.sanity_checking:
            self.recorder.write("val", metrics, self.trainer.global_step)


# Lightning reads it at each step, and Python works it out anew each time unless it is noted
VAEModule.training_step.__signature__ = inspect.signature(VAEModule.training_step)  # type: ignore[attr-defined]
