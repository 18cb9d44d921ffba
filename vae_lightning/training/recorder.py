"""Computes the metrics of training steps and epochs and passes them to the loggers: `metrics.csv`, TensorBoard and others."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor

from vae_lightning.errors import RunError
from vae_lightning.evaluation.metrics import PROGRESS_METRICS
from vae_lightning.training.metrics_csv import MetricsCSV
from vae_lightning.training.ranks import gather_over_ranks, sum_over_ranks
from vae_lightning.training.running_means import Means, NotFinite

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule

TRAINING = "trainer.detect_anomaly=true finds the operation; a lower optimizer.lr or trainer.gradient_clip_val may prevent it."
VALIDATION = "the training terms and the weights were finite: check the images of that split, or lower optimizer.lr."


def terms(names: Sequence[str]) -> str:
    """List the terms among `names`, such as `reconstruction and kl`; their sums only if there are no others."""
    return " and ".join([name for name in names if name not in ("loss", "elbo")] or names)


def check_finite_metrics(
    metrics: Mapping[str, Mapping[str, float]], checkpoint: Path | None, progress: Mapping[str, int]
) -> None:
    """Raise RunError if a final metric is not finite, so that no results are written.

    Args:
        metrics: the final metrics by split and name.
        checkpoint: the checkpoint that they were measured on.
        progress: the numbers of `steps` and `epochs`.
    """
    for split, values in metrics.items():
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise RunError(
                f"NaN or infinity in the final metrics of {split}, after step {progress['steps']}, epoch {progress['epochs']}: "
                f"it began in {terms(bad)}. No results.json is written{f', {checkpoint.name} is kept' if checkpoint else ''}; "
                f"{VALIDATION}"
            )


class Recorder:
    """Logs `train_step/…` every `log_every_n_steps` steps, and `train/…` and `val/…` each epoch, in nats per image.

    Between two log entries nothing is read from the device. All metrics are checked before they are logged and before a
    checkpoint is written: NaN or infinity ends the run with a RunError that names the step and the term in which it began.

    Args:
        module: the module whose training is recorded.
    """

    def __init__(self, module: VAEModule) -> None:
        self.module = module
        self.shown: dict[str, float] = {}  # the last metrics logged, for the progress bar
        self.history: dict[str, dict[str, float]] = {}  # the last metrics of each kind, for the results
        self.means = Means()
        self._written: Tensor | None = None  # the totals at the last `train_step` row
        self._written_step = 0
        self._lr = math.nan  # learning rate of the last step, after which the optimizer already has that of the next step
        self._clock: float | None = None  # the time at which it was last read; None while it is paused
        self._seconds, self._images_before = 0.0, 0.0
        self.began, self.seconds_before = time.perf_counter(), 0.0

    def begin(self) -> None:
        """Prepare for a training that begins or is resumed."""
        self.log_every: int = self.module.trainer.log_every_n_steps  # type: ignore[attr-defined]
        self.resume_clock()

    def begin_epoch(self) -> None:
        self.means, self._written = Means(), None
        self._written_step = self.module.trainer.global_step
        self._seconds, self._images_before = 0.0, 0.0
        self.resume_clock()

    def step(self, losses: Mapping[str, Tensor], images: int) -> None:
        """Add the terms of a step; every `log_every_n_steps` steps, logs the means since the last time."""
        step = self.module.trainer.global_step + 1
        self._lr = self.module.trainer.optimizers[0].param_groups[0]["lr"]
        self.means.add(losses, images, step)
        if step % self.log_every == 0 and step != self._written_step:
            totals = self.totals()
            self.update_clock()
            self.write("train_step", self._train_metrics(totals - (0 if self._written is None else self._written), totals), step)
            self._written, self._written_step = totals, step

    def end_epoch(self) -> None:
        totals = self.totals()
        self.update_clock()
        self.write("train", self._train_metrics(totals, totals), self.module.trainer.global_step)

    def update_clock(self) -> None:
        """Add the training time since the clock was last read; validation, pictures and checkpoints do not count."""
        if self._clock is not None:
            now = time.perf_counter()
            self._seconds += now - self._clock
            self._clock = now

    def pause_clock(self) -> None:
        self.update_clock()
        self._clock = None

    def resume_clock(self) -> None:
        self._clock = time.perf_counter()

    def write(self, kind: str, metrics: dict[str, float], step: int) -> None:
        """Log `kind/metric` to every logger, directly: Lightning's `self.log` costs a tenth of a step for each metric."""
        bad = tuple(name for name, value in metrics.items() if not math.isfinite(value))
        if bad:
            self.check_finite()  # if a training term was not finite before, that is the cause
            self._fail(self._message(NotFinite(step, bad), kind))
        epoch = self.module.current_epoch
        self.history[kind] = {**metrics, "step": step, "epoch": epoch}
        self.shown = {name: metrics[name] for name in PROGRESS_METRICS if name in metrics} | self._beta()
        named = {f"{kind}/{name}": value for name, value in metrics.items()}
        for logger in self.module.loggers:
            if isinstance(logger, MetricsCSV):
                logger.expect(self.means.names)  # validation may write the first row
            logger.log_metrics({**named, "epoch": epoch}, step)

    def totals(self) -> Tensor:
        """Return the sums over all processes. Raise RunError, in every process, if a term was not finite."""
        totals = sum_over_ranks(self.means.totals(), self.module.device)
        if not bool(torch.isfinite(totals).all()):
            found = [bad for bad in gather_over_ranks(self.means.not_finite) if bad is not None]
            self._fail(self._message(min(found), "training") if found else "The loss is no longer finite.")
        return totals

    def check_finite(self) -> None:
        """Raise RunError if a term since the last call, or a weight, is not finite, so that no checkpoint is written."""
        self.totals()
        weights = [torch.isfinite(parameter).all() for parameter in self.module.parameters()]
        if weights and not bool(torch.stack(weights).all()):
            self._fail(self._message(NotFinite(self.module.trainer.global_step, ("weights",)), "training"))

    def _train_metrics(self, totals: Tensor, epoch: Tensor) -> dict[str, float]:
        """Return the means of `totals`, with the speed of the epoch so far in images per second since the start or resume."""
        means = self.means.means(totals)
        images = epoch[-1].item() - self._images_before
        return {
            **({"elbo": -(means["reconstruction"] + means["kl"])} if "kl" in means else {}),
            **means,
            **self._beta(),
            "lr": float(self._lr),
            "images_per_second": images / max(self._seconds, 1e-9),
        }

    def _beta(self) -> dict[str, float]:
        """β of the last step, if the objective uses it."""
        return {"beta": self.module.beta()} if self.module.uses_beta else {}

    def _fail(self, message: str) -> NoReturn:
        """End every process, so that none waits for another; the main process reports the message."""
        raise RunError(message) if self.module.trainer.is_global_zero else SystemExit(0)

    def _message(self, bad: NotFinite, kind: str) -> str:
        whole = self.means.names and set(bad.names) >= set(self.means.names)
        began = "all terms at once, so in the weights after the previous step" if whole else terms(bad.names)
        where, remedy = (" of validation", VALIDATION) if kind == "val" else ("", TRAINING)
        kept = "The last checkpoint was written before that and is unaffected"
        folder = Path(self.module.trainer.default_root_dir)
        if not any((folder / "checkpoints").glob("*.ckpt")):
            trained = (folder / "metrics.csv").exists()
            kept = "No checkpoint was written before that" + ("" if trained else ", and the run folder is removed")
        return (
            f"NaN or infinity at step {bad.step}, epoch {self.module.current_epoch}{where}: it began in {began}. {kept}; {remedy}"
        )

    # ---------------------------------------------------------------- resume

    def elapsed(self) -> float:
        """Seconds that the run has taken, including those before it was resumed."""
        return self.seconds_before + time.perf_counter() - self.began

    def state_dict(self) -> dict[str, Any]:
        """Return the state that all processes share; each process saves its own `means`."""
        return {
            "shown": self.shown,
            "history": self.history,
            "written": self._written,
            "written_step": self._written_step,
            "seconds": self.elapsed(),
        }

    def load_state_dict(self, state: dict[str, Any], means: dict[str, Any] | None, images: float) -> None:
        """Restore the state.

        Args:
            state: the result of `state_dict`.
            means: the running means of this process; None if they were not saved.
            images: images that all processes had already seen in this epoch; the speed does not count them.
        """
        self.shown, self.history = state["shown"], state["history"]
        self._written, self._written_step = state["written"], state["written_step"]
        self.seconds_before, self._images_before = state["seconds"], images
        if means is not None:
            self.means.load_state_dict(means)
