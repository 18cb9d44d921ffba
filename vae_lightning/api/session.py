"""Running a command in the user's own process: one at a time, with errors raised, and the process left as it was."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vae_lightning.api.resumed_run import RUN_FOLDER
from vae_lightning.config.messages import as_user_errors
from vae_lightning.errors import INTERRUPTED_STATUS, RunError

_ONE_AT_A_TIME = threading.RLock()  # the environment, the random states and Hydra's configuration belong to the whole process
_TERMINATED_STATUS = 128 + int(signal.SIGTERM)


@contextmanager
def python_session() -> Iterator[None]:
    """Run a command in this block. Calls from several threads wait for each other.

    Afterwards the environment, the working directory, `sys.path`, the random states of Python, NumPy and torch, and torch's
    settings are as before. What libraries set when they are first imported stays.

    Raises:
        UserError: the command would have printed this error.
        KeyboardInterrupt: Ctrl-C was pressed; the checkpoint is written.
    """
    with _ONE_AT_A_TIME, _no_exit(), as_user_errors(), _environment(), _torch_state():
        yield


@contextmanager
def _no_exit() -> Iterator[None]:
    """Raise an exception where a command would exit; send a SIGTERM again that waited for the checkpoint."""
    try:
        yield
    except SystemExit as ended:
        if ended.code == _TERMINATED_STATUS:
            signal.raise_signal(signal.SIGTERM)  # by default, this ends the process
            raise RunError("The training was stopped by SIGTERM, after its checkpoint was written.") from ended
        if ended.code == INTERRUPTED_STATUS or isinstance(ended.__context__, KeyboardInterrupt):  # Lightning exits after Ctrl-C
            raise KeyboardInterrupt from ended
        raise


@contextmanager
def _environment() -> Iterator[None]:
    variables, folder, path = dict(os.environ), os.getcwd(), list(sys.path)
    os.environ.pop(RUN_FOLDER, None)  # set by a run if one of its callbacks calls this
    try:
        yield
    finally:
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        os.environ.update(variables)
        sys.path[:] = path
        os.chdir(folder)


@contextmanager
def _torch_state() -> Iterator[None]:
    import torch

    from vae_lightning.training.checkpoint_state import random_states, restore_random_states

    states, threads, gradients = random_states(), torch.get_num_threads(), torch.is_grad_enabled()
    deterministic, warn_only = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    benchmark, cudnn_deterministic = cudnn.benchmark, cudnn.deterministic
    try:
        yield
    finally:
        restore_random_states(states)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        torch.set_grad_enabled(gradients)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        cudnn.benchmark, cudnn.deterministic = benchmark, cudnn_deterministic
