"""Each launcher that works on a single machine is run for real; SLURM's is only composed."""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.running import REPOSITORY, Outcome, run_script
from tests.sweeps.sweeping import QUIET, TINY
from vae_lightning.runs import sweep_record as record


def needs(plugin: str) -> pytest.MarkDecorator:
    there = find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.hydra_{plugin}_launcher") is not None
    return pytest.mark.skipif(not there, reason=f"hydra-{plugin}-launcher is not installed")


def sweep(cwd: Path, *arguments: str) -> Outcome:
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return run_script("train.py", ["-m", *TINY, QUIET, *arguments], cwd, PYTHONPATH=path)


def states(cwd: Path) -> list[record.JobState]:
    (folder,) = cwd.glob("outputs/sweeps/*/*")
    found = record.load(folder)
    return [found.true_state(job) for job in found.jobs]


@pytest.mark.slow
@needs("joblib")
def test_joblib_runs_jobs_side_by_side_and_a_failure_stops_none(tmp_path: Path) -> None:
    outcome = sweep(tmp_path, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "latent_dim=2,0,3,4")
    assert outcome.status == 1, outcome.err
    found = states(tmp_path)
    assert [state["state"] for state in found] == ["done", "failed", "done", "done"]
    assert len({state["pid"] for state in found}) == 2
    assert {state["threads"] for state in found} == {max(1, len(os.sched_getaffinity(0)) // 2)}


@pytest.mark.slow
@needs("joblib")
def test_a_worker_that_is_killed_takes_no_other_job_with_it(tmp_path: Path) -> None:
    (tmp_path / "mine" / "model").mkdir(parents=True)
    (tmp_path / "mine" / "model" / "deadly.yaml").write_text("_target_: deadly.Deadly\n")
    (tmp_path / "deadly.py").write_text(
        "import os, signal\nclass Deadly:\n    def __init__(self) -> None:\n        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    arguments = [a for a in TINY if not a.startswith("model.")]
    path = os.pathsep.join([str(REPOSITORY), str(tmp_path)])
    options = ["--config-dir", "mine", "-m", *arguments, QUIET, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    outcome = run_script("train.py", [*options, "model=deadly,mlp", "seed=0,1"], tmp_path, PYTHONPATH=path)
    assert outcome.status == 1, outcome.err
    assert [state["state"] for state in states(tmp_path)] == ["failed", "failed", "done", "done"]
    assert "Its process ended without an error message" in (states(tmp_path)[0]["error"] or "")


@pytest.mark.slow
@needs("joblib")
def test_jobs_side_by_side_can_have_two_processes_each(tmp_path: Path) -> None:
    arguments = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=0,1", "trainer=ddp", "trainer.accelerator=cpu")
    assert sweep(tmp_path, *arguments).status == 0
    assert [state["state"] for state in states(tmp_path)] == ["done", "done"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "launcher", [pytest.param("submitit_local", marks=needs("submitit")), pytest.param("ray", marks=needs("ray"))]
)
def test_launchers_of_clusters_run_on_one_machine(tmp_path: Path, launcher: str) -> None:
    outcome = sweep(tmp_path, f"hydra/launcher={launcher}", "seed=0,1")
    assert outcome.status == 0, outcome.err
    found = states(tmp_path)
    assert [state["state"] for state in found] == ["done", "done"]
    assert all(state["pid"] != os.getpid() for state in found)
    assert json.loads(next(tmp_path.glob("outputs/sweeps/*/*/000_*/results.json")).read_text())["test"]["elbo"] < 0


@needs("submitit")
def test_slurm_composes_and_hands_its_settings_to_submitit() -> None:
    from hydra import compose, initialize_config_dir
    from hydra.core.plugins import Plugins
    from hydra_plugins.hydra_submitit_launcher.submitit_launcher import SlurmLauncher

    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        overrides = ["hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.sweep.dir=there"]
        launcher = compose("train", overrides, return_hydra_config=True).hydra.launcher
        assert (launcher.gpus_per_node, launcher.timeout_min, launcher.partition) == (1, 240, "gpu")
        assert launcher.max_num_timeout > 0, "jobs that meet their limit are put into the queue again"
        assert isinstance(Plugins.instance()._instantiate(launcher), SlurmLauncher)
