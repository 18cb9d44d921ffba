"""The progress bar: epoch, ELBO, reconstruction, KL and β; one line per epoch if the output is not a terminal.

In a notebook it is one line of text, shown by IPython and replaced in place, which needs no extension of the notebook.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vae_lightning.errors import check_number
from vae_lightning.evaluation.metrics import PROGRESS_METRICS, digits_of
from vae_lightning.training.callbacks.step_limit import total_steps
from vae_lightning.training.private_apis import batches_of_all_epochs

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule


class TrainingProgress(ProgressBar):
    """Shows the metrics that the recorder wrote last, so that the bar never waits for the device.

    Args:
        refresh: seconds between two redraws.
    """

    def __init__(self, refresh: float = 0.2) -> None:
        super().__init__()
        self.refresh = check_number("refresh", refresh, 0, above=True)
        self._progress: Progress | None = None
        self._notebook: NotebookLine | None = None
        self._due = 0.0
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def enable(self) -> None:
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        console = Console(stderr=True)
        if not (self._enabled and trainer.is_global_zero):
            return
        if console.is_jupyter:
            self._notebook = NotebookLine()
        if not console.is_terminal:
            return
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[metrics]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._progress.add_task("", total=self._total(trainer), epoch="", metrics="")
        self._progress.start()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: VAEModule,  # type: ignore[override]  # our module
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        now = time.monotonic()
        if now >= self._due and (self._progress is not None or self._notebook is not None):
            self._due = now + self.refresh
            self._draw(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]  # our module
        if self._progress is not None or self._notebook is not None:
            self._draw(trainer, pl_module)
        elif self._enabled and trainer.is_global_zero:
            recorder = pl_module.recorder
            shown = describe(recorder.history.get("val") or recorder.shown, _beta(pl_module))
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"epoch {self._epoch(trainer)}  {shown}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._stop()

    def _draw(self, trainer: Trainer, pl_module: VAEModule) -> None:
        done = batches_of_all_epochs(trainer)
        shown = pl_module.recorder.shown
        metrics = describe(shown, _beta(pl_module)) if shown else ""
        if self._notebook is not None:
            self._notebook.show(self._epoch(trainer), done, self._total(trainer), metrics)
        if self._progress is None:
            return
        self._progress.update(self._task, completed=done, epoch=self._epoch(trainer), metrics=metrics)
        self._progress.refresh()

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        self._notebook = None

    @staticmethod
    def _epoch(trainer: Trainer) -> str:
        last = trainer.max_epochs
        return f"{trainer.current_epoch + 1}" + (f"/{last}" if last and last > 0 else "")

    @staticmethod
    def _total(trainer: Trainer) -> float | None:
        steps = total_steps(trainer) * trainer.accumulate_grad_batches
        return None if steps == float("inf") else steps


class NotebookLine:
    """The output `epoch 3/50  12%  elbo −101.2 …` in a notebook's cell, replaced in place; its last state stays."""

    def __init__(self) -> None:
        from IPython.display import display

        self._handle: Any = display({"text/plain": "training …"}, raw=True, display_id=True)

    def show(self, epoch: str, done: int, total: float | None, metrics: str) -> None:
        """Replace the line.

        Args:
            epoch: such as `3/50`.
            done: the number of batches so far.
            total: the number of batches of the whole run; None if it is unknown.
            metrics: the metrics that were measured last.
        """
        share = f"{done / total:.0%}  " if total else ""
        self._handle.update({"text/plain": f"epoch {epoch}  {share}{metrics}".rstrip()}, raw=True)


def _beta(module: VAEModule) -> float | None:
    """Return the current β; None if the objective does not use it."""
    return module.beta() if module.uses_beta else None


def describe(metrics: dict[str, float], beta: float | None) -> str:
    """`elbo −101.2  reconstruction 78.9  kl 22.3  β 1`: those of the terms that were measured, in nats per image."""
    parts = [f"{name} {metrics[name]:.{digits_of(name)}f}" for name in PROGRESS_METRICS if name in metrics]
    return "  ".join(parts if beta is None else [*parts, f"β {beta:.3g}"])
