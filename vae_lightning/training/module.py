"""The `LightningModule`: one training step of a VAE, its optimizer, its validation, and what is logged and saved.

`training_step` shows the step. Other files show what is written to `metrics.csv` (`recorder.py`, `metrics_csv.py`), what a
checkpoint holds besides the weights (`checkpoint_state.py`), and the order of the data (`datamodule.py`, `data_position.py`).
"""

from __future__ import annotations

import inspect
import math
import multiprocessing
from collections.abc import Callable, Sized
from functools import partial
from typing import Any

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.utilities import GradClipAlgorithmType
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

from vae_lightning.capabilities import require
from vae_lightning.data.binarization import BernoulliPixels
from vae_lightning.data.images import Batch, pixels
from vae_lightning.errors import prefix_key
from vae_lightning.evaluation.elbo import SplitSums
from vae_lightning.models.vae import VAE
from vae_lightning.noise import Noise, StreamNoise, derive_seed
from vae_lightning.objectives import Losses, Objective
from vae_lightning.objectives.base import OptimizerGroup
from vae_lightning.schedules.beta import Constant, RunLength, Schedule
from vae_lightning.schedules.learning_rate import LRSchedule, NoLRSchedule
from vae_lightning.schedules.scheduled_value import ScheduledValue
from vae_lightning.training import silence_warnings  # noqa: F401  importing it silences them
from vae_lightning.training.callbacks.step_limit import total_steps
from vae_lightning.training.checkpoint_state import Resumed, checkpoint_state, has_trainer
from vae_lightning.training.compile import NOT_COMPILED, CompiledObjective
from vae_lightning.training.plain_batches import convert
from vae_lightning.training.private_apis import count_batches
from vae_lightning.training.processes.lifetime import end_with_parent
from vae_lightning.training.ranks import sum_over_ranks
from vae_lightning.training.recorder import Recorder


class VAEModule(LightningModule):
    """Trains a `VAE` by minimising an objective whose β follows a schedule.

    Metrics go to the trainer's loggers as `train_step/…` every `log_every_n_steps`, and as `train/…` and `val/…` each epoch, in
    nats per image. The batches come from a run's `DataModule`, or from an ordinary DataLoader; `plain_batches.as_batch` converts
    those of the latter.

    Args:
        vae: the model.
        objective: computes the loss and its terms; None for the ELBO.
        beta_schedule: β at each optimizer step, or a number.
        optimizer: makes a torch optimizer from parameter groups; None for Adam with a learning rate of 0.002.
        lr_schedule: the learning rate at each optimizer step; None for a constant one.
        dynamic: whether binary pixels are drawn anew at each step (dynamic binarisation); None: if the likelihood is binary.
        seed: seed of the training noise, which is a pure function of (seed, rank, epoch, batch).
        compile_mode: see `compile.py`.

    Raises:
        UserError: the objective or the schedule does not suit the model.

    Example:
        >>> vae = VAE(MLP(), Diagonal(20), StandardNormal(20), Bernoulli((1, 28, 28)))
        >>> Trainer(max_epochs=10).fit(VAEModule(vae), DataLoader(images, batch_size=64, shuffle=True))
    """

    def __init__(
        self,
        vae: VAE,
        objective: Objective | None = None,
        beta_schedule: Schedule | float = 1.0,
        optimizer: Callable[..., Optimizer] | None = None,
        lr_schedule: LRSchedule | None = None,
        dynamic: bool | None = None,
        seed: int = 0,
        compile_mode: str = NOT_COMPILED,
    ) -> None:
        super().__init__()
        self.vae, self.objective = vae, Objective() if objective is None else objective
        self.beta_schedule = beta_schedule if isinstance(beta_schedule, Schedule) else Constant(beta_schedule)
        self.objective.check(vae)
        require(self.beta_schedule, self.beta_schedule.needs, vae.posterior)
        self.make_optimizer = partial(torch.optim.Adam, lr=0.002) if optimizer is None else optimizer
        self.lr_schedule = NoLRSchedule() if lr_schedule is None else lr_schedule
        self.dynamic = vae.likelihood.support == "binary" if dynamic is None else dynamic
        self.seed, self.compile_mode = seed, compile_mode
        vae.checks_input = False  # the data set was checked, and a step must not wait for the device
        self.plain_images = 0  # how many of an ordinary DataLoader were seen in this epoch of validation or test
        self.compiled: CompiledObjective | None = None
        self.bernoulli_pixels = BernoulliPixels()
        self.uses_beta = self.objective.uses_beta(vae)
        self.scheduled = {name: part for name, part in self.named_modules() if isinstance(part, ScheduledValue)}
        self.recorder = Recorder(self)
        self.resumed = Resumed()
        self.val_sums = SplitSums(vae.latent_dim, "val")
        self.validated_at: int | None = None  # the step of `val_sums`

    def __setattr__(self, name: str, value: Any) -> None:
        """Set a string or None without torch's search for parameters: Lightning sets the names of forty hooks at each step."""
        if value.__class__ is str or (value is None and name in self.__dict__):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def setup(self, stage: str) -> None:
        if multiprocessing.parent_process() is not None:
            end_with_parent()

    # ---------------------------------------------------------------- batches of an ordinary DataLoader

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Batch:
        """Convert a batch of an ordinary DataLoader; return one of a run's own data as it is."""
        if isinstance(batch, Batch):
            return batch
        return convert(self, batch)

    # ---------------------------------------------------------------- training

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of a mini-batch. Nothing here waits for the device."""
        noise = self.training_noise(batch, batch_idx)
        x = self.training_pixels(batch, noise)
        beta = self.scheduled_beta(self.trainer.global_step)
        # steps 1 to 4: encode x, draw z = μ + σ·ε, decode z, weigh the terms of the ELBO
        losses = self.losses(self.vae, x, beta, noise, batch.labels)
        self.observe(losses, len(x))
        return losses["loss"]  # step 5: Lightning calls loss.backward() and optimizer.step()

    def training_noise(self, batch: Batch, batch_idx: int) -> Noise:
        """Return the ε of this batch: the same after a resume and with any number of data workers, different in each process."""
        return StreamNoise(self.generator, derive_seed(self.seed, "train", self.global_rank, self.current_epoch, batch_idx))

    def training_pixels(self, batch: Batch, noise: Noise) -> Tensor:
        """Return the images as float32 in [0, 1]; with dynamic binarisation, binary pixels drawn from `noise`."""
        if not self.dynamic:
            return pixels(batch.images)
        if isinstance(noise, StreamNoise):
            return self.bernoulli_pixels(batch.images, noise.generator)
        grey = pixels(batch.images)
        return (noise.uniform(grey) < grey).to(grey.dtype)

    def scheduled_beta(self, step: int) -> float | Tensor:
        """Return β at this optimizer step, and set the other scheduled values of model and objective."""
        for value in self.scheduled.values():
            value.move(step)
        return self.beta_schedule(step)

    @property
    def losses(self) -> Callable[..., Losses]:
        """The objective, compiled or not: (vae, x, β, noise, labels) → its loss and terms."""
        return self.compiled or self.objective

    def observe(self, losses: Losses, images: int) -> None:
        """Hand the terms of a step to β's schedule, which may act on them, and to the recorder."""
        self.beta_schedule.observe(losses)
        self.recorder.step(losses, images)

    def beta(self) -> float:
        """β of the current or last step; before the first step, the β that it will have."""
        value = self.beta_schedule.in_force
        return float(self.beta_schedule(self.trainer.global_step) if value is None else value)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = self.make_optimizer(self.parameter_groups())
        with prefix_key("lr_schedule"):
            scheduler = self.lr_schedule.build(optimizer, self.run_length())
        if scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def parameter_groups(self) -> list[OptimizerGroup]:
        """Return the optimizer's parameter groups: the model's, then those of the objective that have their own settings."""
        groups = self.objective.parameter_groups()
        apart = {id(parameter) for group in groups for parameter in group["params"]}
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad and id(parameter) not in apart]
        return [{"params": trained}, *groups]

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Optimizer) -> None:
        """Do the same as `optimizer.zero_grad()`, without its profiler record, which takes longer than the rest."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip gradients as Lightning does, and also in bfloat16 with a fused optimizer.

        Lightning refuses fused optimizers in mixed precision, though only float16 scales gradients.
        """
        if not gradient_clip_val:
            return
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None:
            Precision.clip_gradients(
                plugin, optimizer, gradient_clip_val, GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            )
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def run_length(self) -> RunLength:
        steps = total_steps(self.trainer)
        if self.trainer.train_dataloader is None:  # without max_epochs, Lightning has not counted the batches yet
            count_batches(self.trainer)
        batches = self.trainer.num_training_batches
        return RunLength(steps, math.ceil(batches / self.trainer.accumulate_grad_batches) if batches < math.inf else math.inf)

    def schedules(self) -> dict[str, Schedule]:
        """β's schedule and those of parts of the model and the objective, by name."""
        return {"beta": self.beta_schedule} | {name: value.schedule for name, value in self.scheduled.items()}

    def on_fit_start(self) -> None:
        if isinstance(dataset := getattr(self.trainer.train_dataloader, "dataset", None), Sized):
            self.objective.set_train_size(len(dataset))  # a run has set it already
        for name, schedule in self.schedules().items():
            with prefix_key("beta_schedule" if schedule is self.beta_schedule else name.removeprefix("vae.")):
                schedule.begin(self.run_length())
            schedule.move_to(self.device)
        self.generator = torch.Generator(self.device)
        if self.compile_mode != NOT_COMPILED:
            self.compiled = CompiledObjective(self.objective, self.compile_mode, self.device)

    def on_fit_end(self) -> None:
        self.compiled = None

    # ---------------------------------------------------------------- logging and checkpoints

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
        if has_trainer(self):  # there is none in `VAEModule.load_from_checkpoint`, which only loads weights
            self.resumed = Resumed.of(self, checkpoint)

    # ---------------------------------------------------------------- validation, test and codes

    def on_validation_epoch_start(self) -> None:
        self.val_sums, self.plain_images = SplitSums(self.vae.latent_dim, "val"), 0

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self.val_sums.add(self.vae, batch)

    def on_validation_epoch_end(self) -> None:
        self.val_sums.sums = sum_over_ranks(self.val_sums.sums, self.device)
        metrics = self.val_sums.metrics()
        # for checkpoints and early stopping, which read the trainer's metrics
        training = self.trainer.state.fn == "fit"  # else it is `trainer.validate`, which returns what is logged
        self.log_dict({f"val/{name}": float(value) for name, value in metrics.items()}, logger=False if training else None)
        if training and not self.trainer.sanity_checking:
            self.validated_at = self.trainer.global_step
            self.recorder.write("val", metrics, self.trainer.global_step)

    def on_test_epoch_start(self) -> None:
        self.test_sums, self.plain_images = SplitSums(self.vae.latent_dim, "test"), 0

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the sums of `trainer.test`; a run measures its test images itself, see `finish.py`."""
        self.test_sums.add(self.vae, batch)

    def on_test_epoch_end(self) -> None:
        self.test_sums.sums = sum_over_ranks(self.test_sums.sums, self.device)
        self.log_dict({f"test/{name}": float(value) for name, value in self.test_sums.metrics().items()})

    def on_predict_epoch_start(self) -> None:
        self.plain_images = 0

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the codes of the images for `trainer.predict`: means of q(z|x), (batch, latent_dim)."""
        return self.vae.encode(pixels(batch.images), batch.labels).mean


# Lightning inspects the signature at each step; unless it is stored, Python computes it each time
VAEModule.training_step.__signature__ = inspect.signature(VAEModule.training_step)  # type: ignore[attr-defined]  # read by inspect
