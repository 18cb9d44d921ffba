"""All private and undocumented parts of Lightning, torch and TensorBoard that training uses, kept in this file.

Read in lightning 2.6.6, torch 2.15.0 and tensorboard 2.21.0. `tests/training/test_private_apis.py` fails when one of them
changes or when another file reaches into a library.

| part | what it is for | without it |
|---|---|---|
| Lightning's launchers | report a worker process's failure as a one-sentence error | Lightning's own launcher and traceback |
| the file in which Lightning restores | report a damaged checkpoint as a one-sentence error | the library's traceback |
| a trainer's loops | the position in the data, `trainer.max_steps` on a resume | nothing: exact resume depends on it |
| `torch._dynamo.exc` | report that torch cannot compile a step as a one-sentence error | torch's traceback |
| TensorBoard's writer thread | not to print a write error twice | a second traceback |
| error messages | tell a lost process or data worker from a bug | the library's traceback |
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, NamedTuple, Self

from lightning.pytorch import Trainer
from lightning.pytorch.strategies import Strategy

try:
    from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
    from lightning.pytorch.strategies.launchers import _MultiProcessingLauncher, _SubprocessScriptLauncher
except ImportError:  # another version of Lightning, in which no launcher is an instance of these

    class _MultiProcessingLauncher: ...  # type: ignore[no-redef]  # a stand-in

    class _SubprocessScriptLauncher: ...  # type: ignore[no-redef]  # a stand-in


# ---------------------------------------------------------------- launchers


class WorkerLauncher(_MultiProcessingLauncher):
    """Lightning's launcher that forks or spawns the worker processes (`ddp_fork`, `ddp_spawn`)."""

    @classmethod
    def replacing(cls, strategy: Any) -> Self:
        """Return a launcher of this class for `strategy`, with the start method of its present one."""
        return cls(strategy, strategy.launcher._start_method)


class ScriptLauncher(_SubprocessScriptLauncher):
    """Lightning's launcher that runs the command again for each other process (plain `ddp`)."""

    @classmethod
    def replacing(cls, strategy: Any) -> Self:
        """Return a launcher of this class for `strategy`, with the environment of its present one."""
        old = strategy.launcher
        return cls(old.cluster_environment, old.num_processes, old.num_nodes)

    def start_processes(self) -> None:
        """Start the other processes, without the observer that would kill this process when one of them dies."""
        self._call_children_scripts()
        _set_num_threads_if_needed(num_processes=self.num_processes)


def forks_or_spawns(launcher: object) -> bool:
    """Whether the launcher trains in worker processes, and not in this one."""
    return isinstance(launcher, _MultiProcessingLauncher)


def reruns_the_command(launcher: object) -> bool:
    """Whether the launcher runs the command again for each other process."""
    return isinstance(launcher, _SubprocessScriptLauncher)


def set_launcher(strategy: Strategy, launcher: WorkerLauncher | ScriptLauncher) -> None:
    strategy._launcher = launcher


# ---------------------------------------------------------------- a trainer's loops: public names, but undocumented


def epochs_done(trainer: Trainer) -> int:
    progress: Any = trainer.fit_loop.epoch_progress.current
    return progress.processed


def batches_done(trainer: Trainer) -> int:
    """Return how many batches of the current epoch are done; 0 between two epochs."""
    epochs: Any = trainer.fit_loop.epoch_progress.current
    batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
    return batches.processed if epochs.ready > epochs.processed else 0


def loop_state(trainer: Trainer) -> dict[str, Any]:
    """Return what Lightning would save of the training loop now."""
    return trainer.fit_loop.state_dict()


class SavedProgress(NamedTuple):
    """The numbers of epochs and optimizer steps that were done."""

    epochs: int
    steps: int


def saved_progress(loops: dict[str, Any]) -> SavedProgress:
    """Return the progress in the entry `loops` of a checkpoint."""
    fit = loops["fit_loop"]
    steps = fit["epoch_loop.automatic_optimization.optim_progress"]["optimizer"]["step"]["total"]["completed"]
    return SavedProgress(fit["epoch_progress"]["current"]["processed"], steps)


def batches_of_all_epochs(trainer: Trainer) -> int:
    return trainer.fit_loop.epoch_loop.total_batch_idx + 1


def on_last_batch(trainer: Trainer) -> bool:
    """Whether the current batch is known to be the last of its epoch."""
    return trainer.fit_loop.epoch_loop.batch_progress.is_last_batch


def batches_between_validations(trainer: Trainer) -> float | None:
    """Return the number of batches between validations; None or infinity if they come only at the end of an epoch."""
    return trainer.val_check_batch


def step_limit(trainer: Trainer) -> int:
    """Return the number of optimizer steps after which training stops; -1 if there is none."""
    return trainer.fit_loop.epoch_loop.max_steps


def set_step_limit(trainer: Trainer, steps: int) -> None:
    trainer.fit_loop.epoch_loop.max_steps = steps


def count_batches(trainer: Trainer) -> None:
    """Set `trainer.num_training_batches` before training has begun."""
    trainer.fit_loop.setup_data()


# ---------------------------------------------------------------- restoring a checkpoint


def raised_while_restoring(error: BaseException) -> bool:
    """Whether an error was raised while Lightning restored a checkpoint: it has no class of its own for that."""
    trace = error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).name == "checkpoint_connector.py":
            return True
        trace = trace.tb_next
    return False


# ---------------------------------------------------------------- torch's compiler


def compiler_errors() -> tuple[type[BaseException], ...]:
    """Return the exceptions that torch's compiler raises when it cannot compile a function."""
    import torch

    exceptions = getattr(getattr(torch, "_dynamo", None), "exc", None)
    error = getattr(exceptions, "TorchDynamoException", None)
    return () if error is None else (error,)


# ---------------------------------------------------------------- TensorBoard


def writes_events(thread: threading.Thread | None) -> bool:
    """Whether TensorBoard writes an event file in this thread."""
    try:
        from tensorboard.summary.writer.event_file_writer import _AsyncWriterThread
    except ImportError:
        return False
    return isinstance(thread, _AsyncWriterThread)


# ---------------------------------------------------------------- messages that identify errors without a class of their own

LOST_CONNECTION = (  # gloo and NCCL, in lower case: RuntimeError in a process whose peer has gone
    "connection closed by peer",
    "connection reset by peer",
    "connection refused",
    "nccl communicator was aborted",
    "broken pipe",
)
DATA_WORKER_DIED = "DataLoader worker"  # torch.utils.data: RuntimeError
UNUSED_PARAMETERS = "find_unused_parameters"  # torch's DDP: RuntimeError when a parameter had no gradient
