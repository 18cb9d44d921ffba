"""The record of a sweep: the states of its jobs, and their locks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sweeps.sweeping import waiting_sweep
from vae_lightning.files import try_lock
from vae_lightning.runs import sweep_record as record
from vae_lightning.runs.sweep_record import Sweep


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return waiting_sweep(tmp_path)


def test_a_record_is_read_back_as_it_was(sweep: Sweep) -> None:
    assert record.load(sweep.folder) == sweep
    assert record.job_of_folder(sweep.folder / sweep.jobs[2].folder) == (sweep.folder, 2)
    assert record.job_of_folder(sweep.folder) is None


def test_a_running_job_whose_process_is_gone_was_interrupted(sweep: Sweep) -> None:
    first = sweep.jobs[0]
    sweep.set_state(first, "running")
    assert sweep.true_state(first)["state"] == "interrupted"
    with try_lock(record.lock_path(sweep.folder, 0)) as free:
        assert free
        assert sweep.true_state(first)["state"] == "running"
        with try_lock(record.lock_path(sweep.folder, 0)) as again:
            assert not again
    (sweep.folder / first.folder).mkdir()
    results = sweep.folder / first.folder / "results.json"
    results.write_text('{"test": {"elbo": -99.0}}')
    assert sweep.true_state(first)["state"] == "interrupted", "evaluate.py alone wrote them, of a checkpoint"
    results.write_text('{"steps": 7}')
    assert sweep.true_state(first)["state"] == "done", "its results were written before its process was killed"


def test_nothing_is_left_of_an_attempt_that_is_to_begin_anew(sweep: Sweep) -> None:
    first = sweep.jobs[0]
    (sweep.folder / first.folder).mkdir()
    (sweep.folder / first.folder / "config.yaml").touch()
    sweep.set_state(first, "failed", error="x")
    sweep.reset(first)
    assert not (sweep.folder / first.folder).exists()
    assert sweep.state(first) == {"state": "waiting"}
    sweep.reset(first)
