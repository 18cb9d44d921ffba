"""Training in several processes: the same result as in one, different noise in each process, one run folder."""

from __future__ import annotations

import json
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests import ddp_training
from tests.chaos import forks
from tests.running import SHORT, metrics_rows, run_script

DDP = ("trainer=ddp", "trainer.accelerator=cpu", "trainer.precision=bf16-mixed")


def trained(processes: int, batch_size: int, folder: Path) -> None:
    forks.forget_gpu_search()
    ddp_training.train(processes, batch_size, folder)


def test_two_processes_train_as_one_on_the_same_global_batch(tmp_path: Path) -> None:
    for processes, batch_size in (("1", 64), ("2", 32)):
        (tmp_path / processes).mkdir()
        command = get_context("fork").Process(target=trained, args=(int(processes), batch_size, tmp_path / processes))
        command.start()
        command.join(120)
        assert command.exitcode == 0
    one, two = (metrics_rows(tmp_path / n) for n in "12")
    assert [(r["kind"], r["step"]) for r in one] == [(r["kind"], r["step"]) for r in two]
    assert len(one) == 24  # 20 steps, 2 epochs of train and val
    for a, b in zip(one, two, strict=True):
        for name in ("elbo", "reconstruction", "kl"):
            assert float(a[name]) == pytest.approx(float(b[name]), rel=1e-5)
        if a["beta"]:
            assert float(a["beta"]) == pytest.approx(float(b["beta"]), rel=1e-5)
    assert len({row["beta"] for row in two}) > 20, "beta moves at each step"
    first, second = json.loads((tmp_path / "2" / "noise.json").read_text())
    assert all(a != b for a, b in zip(first, second, strict=True)), "each process has to draw different noise"


def test_a_ddp_run_has_one_folder(tmp_path: Path) -> None:
    """The second process runs the command again."""
    status, out = forks.run(tmp_path, *SHORT, "trainer=ddp", "trainer.accelerator=cpu")
    assert status == 0, out
    folders = [path.parent for path in tmp_path.glob("outputs/**/config.yaml")]
    assert len(folders) == 1
    assert out.count("results (of the best checkpoint)") == 1
    beside = out.partition("\nrun            outputs")[2].partition("results (of the best")[0].splitlines()[1:]
    assert beside == [], "Lightning printed messages of its own"
    assert "64 × 2 processes = 128" in out
    assert len(metrics_rows(folders[0])) == 4


def one_folder_a_job(folder: Path) -> None:
    folders = sorted(path.parent for path in folder.glob("outputs/sweeps/**/config.yaml"))
    assert [path.name[:4] for path in folders] == ["000_", "001_"]
    results = [json.loads((path / "results.json").read_text()) for path in folders]
    assert all("elbo" in of_run["train"] for of_run in results), "the training metrics of the worker processes"


def test_a_sweep_of_forked_ddp_runs_runs_each_job_once(tmp_path: Path) -> None:
    status, out = forks.run(tmp_path, "-m", *SHORT, *DDP, "trainer.strategy=ddp_fork", "trainer.devices=1,2")
    assert status == 0, out
    one_folder_a_job(tmp_path)


@pytest.mark.slow
def test_a_sweep_of_ddp_runs_runs_each_job_once(tmp_path: Path) -> None:
    """Slow: spawned processes import everything again."""
    outcome = run_script("train.py", ["-m", *SHORT, *DDP, "trainer.devices=1,2"], tmp_path)
    assert outcome.status == 0, outcome.err
    one_folder_a_job(tmp_path)
