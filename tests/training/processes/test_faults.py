"""Faults of the machine: one error message, a status other than 0, and an intact last checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.chaos.faults import FAULTS
from vae_lightning.errors import UserError
from vae_lightning.training.processes.faults import explain
from vae_lightning.training.running_means import Means

# `make chaos` and test_resume.py run the rest
QUICK = (
    "files may not grow", "output folder without write permission", "event file cannot be made", "event file cannot be written",
    "read-only data folder", "unreadable data", "NaN in reconstruction", "NaN in kl", "NaN in loss", "NaN in weights",
    "NaN in weights at the end of an epoch", "NaN in validation", "NaN in the final metrics",
    "out of memory", "a data worker dies",
)  # fmt: skip


@pytest.mark.parametrize("name", QUICK)
def test_fault(name: str, tmp_path: Path) -> None:
    FAULTS[name](tmp_path)


def test_errors_of_the_program_keep_their_traceback(tmp_path: Path) -> None:
    assert explain(ValueError("a bug"), tmp_path) is None
    assert explain(RuntimeError("shapes do not fit"), tmp_path) is None


@pytest.mark.parametrize(
    ("last_line", "status"),
    [
        ("vae_lightning.errors.UserError: said.", 2),
        ("vae_lightning.errors.InvalidValue: said.", 2),
        ("vae_lightning.errors.RunError: said.", 1),
        ("vae_lightning.training.processes.faults.ProcessLost: said.", 1),
        ("ValueError: a bug", None),
        ("vae_lightning.errors.RunError: said.\n\nDuring handling of it:\n\nValueError: a bug", None),
    ],
)
def test_what_a_process_said_is_said_by_the_command(last_line: str, status: int | None, tmp_path: Path) -> None:
    error = torch.multiprocessing.ProcessRaisedException(f"-- Process 1 terminated:\nTraceback …\n{last_line}\n", 1, 42)
    fault = explain(error, tmp_path)
    assert (fault and (str(fault), fault.status)) == (status and ("said.", status))


def test_a_folder_that_cannot_be_looked_into_is_told_as_well(tmp_path: Path) -> None:
    closed = tmp_path / ("a" * 300)  # too long a name: an error even for root
    error = PermissionError(13, "Permission denied", str(closed))
    assert str(explain(error, closed)) == f"{closed} cannot be opened (Permission denied): check its permissions."


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")])
def test_memory_names_what_to_lower(error: Exception, tmp_path: Path) -> None:
    sentence = str(explain(error, tmp_path))
    assert all(word in sentence for word in ("data.batch_size", "data.eval_batch_size", "nll.chunk"))


def test_means_name_the_first_step_and_term_that_is_not_finite() -> None:
    means = Means()
    for step, kl in enumerate([1.0, float("inf"), float("nan")]):
        means.add({"loss": torch.tensor(kl), "reconstruction": torch.tensor(1.0), "kl": torch.tensor(kl)}, 1, step)
    assert means.not_finite is None
    means.totals()
    assert means.not_finite == (1, ("loss", "kl"))


def test_sums_do_not_depend_on_when_they_are_read() -> None:
    often, once = Means(), Means()
    for i in range(100):
        for means in (often, once):
            means.add({"loss": torch.tensor(0.1 * i)}, 3)
        often.totals()
    assert torch.equal(often.totals(), once.totals())
    again = Means()
    again.load_state_dict(often.state_dict())
    assert torch.equal(again.totals(), once.totals())


@pytest.mark.parametrize("kind", [RuntimeError, lambda text: torch.multiprocessing.ProcessRaisedException(text, 1, 42)])
def test_parameters_without_a_gradient_under_ddp_are_explained(kind: Callable[[str], Exception], tmp_path: Path) -> None:
    fault = explain(kind("… by setting `strategy=DDPStrategy(find_unused_parameters=True)`."), tmp_path)
    assert isinstance(fault, UserError)
    assert "append _find_unused_parameters_true to trainer.strategy" in str(fault)
