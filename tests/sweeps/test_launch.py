"""Launchers that break, what the display shows of the jobs, and how they share cores and data."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from rich.console import Console

from tests.sweeps.sweeping import waiting_sweep
from vae_lightning.config import build
from vae_lightning.config import plugins as extras
from vae_lightning.errors import RunError
from vae_lightning.files import try_lock
from vae_lightning.runs import sweep_record as record
from vae_lightning.runs.sweep_record import Sweep
from vae_lightning.sweeps import callbacks as ddp
from vae_lightning.sweeps import job
from vae_lightning.sweeps.launch import LOST, failures, launch, refuse_if_running
from vae_lightning.sweeps.progress_display import ProgressDisplay, duration, failure_lines, score_text


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    return waiting_sweep(tmp_path)


def subdir(overrides: Sequence[str]) -> Any:
    """The job's folder as Hydra will read it."""
    return OverridesParser.create().parse_override(overrides[-1]).value()


class Breaking:
    """A launcher that runs jobs in order, and fails at the jobs in `dies`, leaving them running or waiting."""

    def __init__(self, sweep: Sweep, dies: dict[int, str]) -> None:
        self.sweep, self.dies, self.batches = sweep, dies, []  # type: ignore[var-annotated]

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> None:
        self.batches.append(len(job_overrides))
        for overrides in job_overrides:
            number = int(subdir(overrides).partition("_")[0])
            if number in self.dies:
                if self.dies[number] == "running":
                    self.sweep.set_state(self.sweep.jobs[number], "running")
                raise RuntimeError("a worker was killed")
            self.sweep.set_state(self.sweep.jobs[number], "done")


@pytest.mark.parametrize("how", ["running", "waiting"])
def test_a_launcher_that_gives_up_is_started_again_for_the_rest(sweep: Sweep, how: str) -> None:
    launcher: Any = Breaking(sweep, {1: how})
    launch(launcher, sweep, sweep.jobs)
    states = [sweep.state(job) for job in sweep.jobs]
    assert [state["state"] for state in states] == ["done", "failed", "done", "done"]
    assert states[1]["error"] == (LOST if how == "running" else "It could not be launched: a worker was killed")


@pytest.mark.parametrize("name", ["111_7493", "111_12e4", "1e5", "1000_0000"])
def test_a_folder_whose_name_reads_as_a_number_is_not_taken_for_one(sweep: Sweep, name: str) -> None:
    sweep.jobs[0].folder = name
    seen: list[Any] = []

    class Noting(Breaking):
        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> None:
            seen.extend(subdir(overrides) for overrides in job_overrides)
            for one in sweep.jobs:
                sweep.set_state(one, "done")

    launch(Noting(sweep, {}), sweep, sweep.jobs)  # type: ignore[arg-type]
    assert seen == [one.folder for one in sweep.jobs]


def test_a_launcher_that_runs_nothing_does_not_keep_the_sweep_waiting(sweep: Sweep) -> None:
    class Idle:
        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> None:
            pass

    launch(Idle(), sweep, sweep.jobs)  # type: ignore[arg-type]
    errors = {sweep.state(job)["error"] for job in sweep.jobs}
    assert errors == {"It could not be launched: its launcher ended without running it"}


def test_a_job_killed_after_its_results_were_written_is_done(sweep: Sweep) -> None:
    folder = sweep.folder / sweep.jobs[1].folder
    folder.mkdir()
    (folder / "results.json").write_text('{"steps": 7}')
    launch(Breaking(sweep, {1: "running"}), sweep, sweep.jobs)  # type: ignore[arg-type]
    assert [sweep.state(job)["state"] for job in sweep.jobs] == ["done"] * 4


def test_a_job_that_still_runs_when_its_launcher_gave_up_is_waited_for(sweep: Sweep) -> None:
    class Leaving:
        """Fails for the first job while the second one runs and the others are in its queue."""

        def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> None:
            if initial_job_idx:
                return Breaking(sweep, {}).launch(job_overrides, initial_job_idx)
            sweep.set_state(sweep.jobs[0], "done")
            holds = threading.Event()
            threading.Thread(target=self.second, args=(holds,)).start()
            holds.wait()
            raise RuntimeError("a worker was killed")

        def second(self, holds: threading.Event) -> None:
            with try_lock(record.lock_path(sweep.folder, 1)):
                sweep.set_state(sweep.jobs[1], "running")
                holds.set()
                time.sleep(0.3)
                sweep.set_state(sweep.jobs[1], "done")

    launch(Leaving(), sweep, sweep.jobs)  # type: ignore[arg-type]
    assert [sweep.state(job)["state"] for job in sweep.jobs] == ["done"] * 4


@pytest.mark.parametrize(("before", "runs"), [("done", False), ("pruned", False), ("waiting", True), ("interrupted", True)])
def test_a_finished_job_that_a_queue_still_held_is_not_run_again(
    sweep: Sweep, monkeypatch: pytest.MonkeyPatch, before: str, runs: bool
) -> None:
    folder = sweep.jobs[2].folder
    hydra = OmegaConf.create({"sweep": {"dir": str(sweep.folder), "subdir": folder}, "launcher": {}})
    monkeypatch.setattr(job.HydraConfig, "get", lambda: hydra)
    sweep.set_state(sweep.jobs[2], before)
    called: list[Any] = []
    with try_lock(record.lock_path(sweep.folder, 2)):
        job.run(called.append, OmegaConf.create())
        assert not called, "another process is running it"
        with pytest.raises(RunError, match=f"are still running \\({folder} in process"):
            refuse_if_running(sweep)
    refuse_if_running(sweep)
    job.run(called.append, OmegaConf.create())
    assert bool(called) is runs
    assert sweep.state(sweep.jobs[2])["state"] == ("done" if runs else before)


def test_the_display_prints_what_happens_to_jobs_and_updates_the_record(sweep: Sweep) -> None:
    out = io.StringIO()
    with ProgressDisplay(sweep, 4, Console(file=out, width=200), seconds=0.01) as display:
        sweep.set_state(sweep.jobs[0], "running", epoch=1, epochs=2)
        display.update()
        assert display.fraction() == pytest.approx(0.125)
        sweep.set_state(sweep.jobs[0], "done", seconds=3.0, metrics={"val": {"elbo": -101.234}})
        sweep.set_state(sweep.jobs[1], "failed", seconds=1.0, error="it [broke]")
    lines = out.getvalue().splitlines()
    assert [" ".join(line.split()[:5]) for line in lines] == [
        "[0/4] 000 running beta=0", "[1/4] 000 done beta=0 elbo", "[2/4] 001 failed beta=1 1",
    ]  # fmt: skip
    assert "-101.23  3 s" in lines[1]
    assert lines[2].endswith("it [broke]")
    assert '"state": "failed"' in (sweep.folder / "sweep.json").read_text()


def test_the_display_shows_a_table_on_a_terminal(sweep: Sweep) -> None:
    out = io.StringIO()
    console = Console(file=out, width=120, height=30, force_terminal=True)
    sweep.set_state(sweep.jobs[2], "running", epoch=5, epochs=10, trained_seconds=50, metrics={"val": {"elbo": -99.5}})
    with ProgressDisplay(sweep, 4, console, seconds=60) as display:
        console.print(display.table())
    assert all(word in out.getvalue() for word in ("beta=2", "5/10", "-99.50", "50 s", "0 of 4 jobs"))


def test_a_model_without_an_elbo_is_shown_by_its_reconstruction() -> None:
    assert score_text({"metrics": {"val": {"kl": 1.0, "reconstruction": 78.9}}}) == "reconstruction 78.90"
    assert score_text({"metrics": {"val": {"reconstruction": 78.9, "elbo": -101.0}}}) == "elbo -101.00"
    assert score_text({}) == ""


def test_control_characters_reach_no_terminal(sweep: Sweep) -> None:
    """A label or an error may come from a file that someone else wrote."""
    sweep.jobs[0].label = "name=\x1b[2Jx"
    out = io.StringIO()
    with ProgressDisplay(sweep, 4, Console(file=out, width=200), seconds=60):
        sweep.set_state(sweep.jobs[0], "failed", error="\x1b]0;title\x07 broke")
    failed = "\n".join(failure_lines(failures(sweep)))
    assert "\x1b" not in out.getvalue() + failed
    assert "name=\\x1b[2Jx" in out.getvalue()
    assert "\\x1b]0;title\\x07 broke" in out.getvalue()


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(s) for s in (None, 3.2, 89, 300, 7200)] == ["…", "3 s", "89 s", "5 min", "2.0 h"]


def test_cores_are_shared_out_among_jobs_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", threads.append)
    monkeypatch.setattr("torch.get_num_threads", lambda: 12)
    monkeypatch.setattr(job, "cores", lambda: 12)
    for n_jobs, side_by_side, share in ((1, 1, None), (3, 3, 4), (5, 5, 2), (-1, 12, 1), (-2, 11, 1), (40, 40, 1)):
        hydra = OmegaConf.create({"launcher": {"n_jobs": n_jobs}})
        monkeypatch.setattr(job.HydraConfig, "get", lambda hydra=hydra: hydra)
        assert (job.parallel_jobs(), job.share_threads()) == (side_by_side, share)
    assert threads == [4, 2, 1, 1, 1]


def test_processes_of_a_job_are_started_so_that_the_sweep_is_not_or_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from vae_lightning.errors import UserError

    monkeypatch.setattr(ddp, "parallel_jobs", lambda: 1)
    assert [ddp.strategy_in_sweep(s) for s in ("auto", "ddp", "ddp_spawn", "ddp_fork")] == [
        "auto",
        "ddp_spawn",
        "ddp_spawn",
        "ddp_fork",
    ]
    monkeypatch.setattr(ddp, "parallel_jobs", lambda: 2)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert [ddp.strategy_in_sweep(s) for s in ("auto", "ddp", "ddp_fork")] == ["auto", "ddp_fork", "ddp_fork"]
    with pytest.raises(UserError, match="in parallel"):
        ddp.strategy_in_sweep("ddp_spawn")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    with pytest.raises(UserError, match="in parallel"):
        ddp.strategy_in_sweep("ddp")


def test_data_sets_of_the_same_arguments_share_their_images() -> None:
    def data(**more: Any) -> Any:
        node = {"_target_": "vae_lightning.data.MNIST5k", **more}
        return build.build_data(OmegaConf.create({"data": node}))

    first, second, other = data(batch_size=8), data(batch_size=16, binarize="none"), data(split_seed=1)
    assert first.splits()["train"] is second.splits()["train"]
    assert (first.batch_size, second.batch_size, second.binarize) == (8, 16, "none")
    assert not (first.splits()["val"].images == other.splits()["val"].images).all()
    data(split_seed=2)
    assert len(build._LOADED) <= build.SHARED_DATA_SETS, "what is no longer used is let go"


def test_launchers_that_are_not_installed_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from vae_lightning.errors import UserError

    monkeypatch.setattr(extras, "find_spec", lambda name: None)
    for launcher, extra in (("joblib", "joblib"), ("slurm", "submitit"), ("submitit_local", "submitit"), ("ray", "ray")):
        with pytest.raises(UserError, match=rf"hydra/launcher={launcher} needs .*vae-lightning\[{extra}\]"):
            extras.check_launcher(launcher)
    extras.check_launcher("basic")
