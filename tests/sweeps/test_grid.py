"""Sweeps that survive failing jobs, interruptions and other sweeps."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from tests.chaos.compare import tensorboard
from tests.running import REPOSITORY
from tests.sweeps.sweeping import QUIET, TINY, Sweeps, interrupted_after_training
from vae_lightning.runs import sweep_record as record
from vae_lightning.runs.folder import read_checkpoint
from vae_lightning.sweeps.callbacks import JobProgress
from vae_lightning.sweeps.sweeper import config_flags


def test_a_job_that_fails_is_recorded_and_the_others_go_on(sweeps: Sweeps) -> None:
    outcome = sweeps("-m", *TINY[:-1], "latent_dim=0,2", "beta=1,4", QUIET)
    assert outcome.status == 1
    assert outcome.err.startswith("error: 2 of 4 jobs failed because of their settings or data: start a new sweep, or")
    assert outcome.out.count("latent_dim=0: must be an integer of at least 1.") == 2, "each once"
    assert sweeps.states() == ["failed", "failed", "done", "done"]
    content = json.loads((sweeps.folder / "sweep.json").read_text())
    assert content["jobs"][1]["error"] == "latent_dim=0: must be an integer of at least 1."
    assert content["jobs"][1]["label"] == "latent_dim=0 beta=4"
    made = sorted(path.name for path in sweeps.folder.iterdir() if path.is_dir())
    assert made == sorted([content["jobs"][2]["folder"], content["jobs"][3]["folder"], "jobs"]), "no folder of what never began"
    config = yaml.safe_load((sweeps.folder / content["jobs"][3]["folder"] / "config.yaml").read_text())
    assert (config["beta"], config["label"]) == (4, "latent_dim=2 beta=4")


def test_a_key_that_only_the_swept_options_have_is_set_in_every_job(sweeps: Sweeps) -> None:
    """Hydra by itself would compose the sweep with model=mlp, which has no channels, and fail."""
    outcome = sweeps("-m", *TINY[1:], "model=conv,resnet", "model.channels=[3,5]", QUIET)
    assert outcome.status == 0, outcome.err
    assert sweeps.states() == ["done", "done"]
    configs = [yaml.safe_load(path.read_text()) for path in sorted(sweeps.folder.glob("*/config.yaml"))]
    assert [config["model"]["channels"] for config in configs] == [[3, 5], [3, 5]]
    assert [config["label"] for config in configs] == ["model=conv", "model=resnet"]
    assert sweeps(f"resume_sweep={sweeps.folder}").status == 0
    outcome = sweeps("-m", *TINY[1:], "model=conv,mlp", "model.channels=[3,5]", QUIET)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "unknown key 'model.channels'" in outcome.err


def test_jobs_whose_code_breaks_keep_the_traceback_and_can_be_mended(sweeps: Sweeps) -> None:
    """A user's own class that raises; once it is fixed, resuming runs only the failed job."""
    cwd = sweeps.runner.cwd
    (cwd / "mine" / "model").mkdir(parents=True)
    (cwd / "mine" / "model" / "broken.yaml").write_text("_target_: broken_model.Broken\n")
    (cwd / "broken_model.py").write_text(
        "from pathlib import Path\nfrom vae_lightning.models.architectures import MLP\n"
        "class Broken(MLP):\n    def __init__(self) -> None:\n        super().__init__(hidden=(8,))\n"
        "        if not Path('mended').exists():\n            raise RuntimeError('not mended yet')\n"
    )
    outcome = sweeps("--config-dir", "mine", "-m", *TINY[1:], "model=broken,mlp", QUIET)
    assert outcome.status == 1
    assert sweeps.states() == ["failed", "done"]
    state = json.loads((sweeps.folder / "jobs" / "000.json").read_text())
    assert "not mended yet" in state["error"]
    assert "broken_model.py" in state["traceback"]
    finished = next(sweeps.folder.glob("001_*/results.json"))
    before = finished.stat().st_mtime_ns
    (cwd / "mended").touch()
    assert sweeps(f"resume_sweep={sweeps.folder}").status == 0
    assert sweeps.states() == ["done", "done"]
    assert finished.stat().st_mtime_ns == before, "a finished job is not run again"


def test_an_interrupted_sweep_resumed_equals_one_that_was_not(sweeps: Sweeps) -> None:
    arguments = ("-m", *TINY, "beta=1,2,4")
    assert sweeps(*arguments, QUIET, "name=whole").status == 0
    whole = sweeps.results()
    with interrupted_after_training(2, signal.SIGTERM):
        outcome = sweeps(*arguments, QUIET, "name=halved")
    assert outcome.status == 143
    assert "resume_sweep=outputs/sweeps/halved/" in outcome.out
    assert sweeps.states() == ["done", "interrupted", "waiting"]
    assert sweeps(f"resume_sweep={sweeps.folder}").status == 0
    assert sweeps.folder.parent.name == "halved"
    assert sweeps.states() == ["done"] * 3
    assert [r["test"] for r in sweeps.results()] == [r["test"] for r in whole]


def test_a_sweep_that_is_terminated_while_nothing_trains_says_how_to_go_on(
    sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("vae_lightning.sweeps.sweeper.launch", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    outcome = sweeps("-m", *TINY, "seed=0,1", QUIET)
    assert (outcome.status, "resume_sweep=outputs/sweeps/" in outcome.out, outcome.err) == (143, True, "")
    assert sweeps.states() == ["waiting", "waiting"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_job_interrupted_within_its_training_goes_on_exactly(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    """It resumes from its last checkpoint, in its folder; its logs, and TensorBoard's under its label, hold nothing twice."""
    tiny = [text for text in TINY if not text.startswith(("logger", "trainer.max_epochs"))]
    arguments = ("-m", *tiny, "trainer.max_epochs=3", "beta=1,2", QUIET)
    assert sweeps(*arguments, "name=whole").status == 0
    (whole,) = sweeps.folder.glob("001_*")
    real = JobProgress.on_train_epoch_end

    def stopped(self: JobProgress, trainer: Any, module: Any) -> None:
        real(self, trainer, module)
        if self.number == 1 and trainer.current_epoch == 1:
            raise KeyboardInterrupt  # immediately: what was written since the last checkpoint must be truncated

    with monkeypatch.context() as patch:
        patch.setattr(JobProgress, "on_train_epoch_end", stopped)
        assert sweeps(*arguments, "name=halved").status == 130
    assert sweeps.states() == ["done", "interrupted"]
    (halved,) = sweeps.folder.glob("001_*")
    assert sweeps(f"resume_sweep={sweeps.folder}").status == 0
    (entry,) = yaml.safe_load((halved / "config.yaml").read_text())["resumes"]
    assert 0 < entry["step"] < 9
    assert (halved / "metrics.csv").read_text() == (whole / "metrics.csv").read_text()
    shown, as_shown = (
        {entry: times for entry, times in tensorboard(folder).items() if entry[1] != "_hparams_/session_start_info"}  # the name
        for folder in (halved, whole)
    )
    assert any(writer == "beta=2/val" for writer, *_ in shown)
    assert shown == as_shown
    content = EventAccumulator(str(whole / "beta=2")).Reload().PluginTagToContent("hparams")["_hparams_/experiment"]
    columns = HParamsPluginData.FromString(content).experiment.hparam_infos
    assert [column.name for column in columns if column.differs] == ["beta"], "shown before those that all jobs share"


@pytest.mark.slow
def test_a_killed_sweep_loses_no_finished_job(sweeps: Sweeps) -> None:
    """A real process, killed during its second job."""
    slow = ("-m", *TINY, "trainer.max_epochs=2,4000,3", "trainer.limit_train_batches=1", QUIET)
    command = [sys.executable, str(REPOSITORY / "train.py"), *slow]
    process = subprocess.Popen(command, cwd=sweeps.runner.cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not list(sweeps.runner.cwd.glob("outputs/sweeps/*/*/001_*/checkpoints/previous.ckpt")):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert sweeps(f"resume_sweep={sweeps.folder}").err.endswith("is already running in another process.\n")
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    sweep = record.load(sweeps.folder)
    assert [sweep.true_state(job)["state"] for job in sweep.jobs] == ["done", "interrupted", "waiting"]
    first = sweep.folder / sweep.jobs[0].folder / "results.json"
    before = first.stat().st_mtime_ns
    kept = sweep.folder / sweep.jobs[1].folder / "config.yaml"
    epochs = read_checkpoint(kept.with_name("checkpoints") / "last.ckpt")["position"]["epoch"] + 2
    kept.write_text(kept.read_text().replace("max_epochs: 4000", f"max_epochs: {epochs}"))
    assert sweeps(f"resume_sweep={sweeps.folder}").status == 0
    assert sweeps.states() == ["done"] * 3
    assert first.stat().st_mtime_ns == before
    assert json.loads((kept.parent / "results.json").read_text())["epochs"] == epochs, "it went on from its own folder"
    assert yaml.safe_load(kept.read_text())["resumes"][0]["epoch"] == epochs - 2


def test_two_sweeps_at_once_share_nothing(sweeps: Sweeps) -> None:
    for _ in range(2):
        assert sweeps("-m", *TINY, "seed=0", "name=same", QUIET).status == 0
    folders = list(sweeps.runner.cwd.glob("outputs/sweeps/same/*"))
    assert len(folders) == 2
    assert all(len(list(folder.glob("*/results.json"))) == 1 for folder in folders)


def test_ready_sweeps_need_no_m_and_give_way_to_the_command_line(sweeps: Sweeps) -> None:
    outcome = sweeps("sweep=seeds", *TINY, "seed=3,4", "trainer.max_epochs=1", QUIET)
    assert outcome.status == 0, outcome.err
    jobs = record.load(sweeps.folder).jobs
    assert [job.label for job in jobs] == ["seed=3", "seed=4"]


def test_dry_sweeps_leave_nothing(sweeps: Sweeps) -> None:
    assert sweeps("-m", *TINY, "seed=0,1", "trainer.fast_dev_run=true").status == 0
    assert not list(sweeps.runner.cwd.glob("outputs/**/*.json"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("-m beta=interval(1,2)", "an interval cannot be swept on a grid; search it with sweep=optuna."),
        ("-m seed=0,1 --cfg job", "--multirun and --cfg cannot be combined: leave out all but one."),
        ("-m likelihood=glob(gauss)", "likelihood=glob(gauss): it has no values to sweep over."),
        ("-m likelihood=glob(gaussian*) betta=1", "betta=1: unknown key 'betta'."),
        ("-m beta=range(5,2)", "beta=range(5,2): it has no values to sweep over."),
        ("-m seed=range(0,1000000000000)", "seed=range(0,1000000000000): a sweep lists at most 10,000 values of a key."),
        ("-m seed=shuffle(range(0,1000000000000))", "a sweep lists at most 10,000 values of a key."),
        ("-m seed=range(0,1e300,1e-300)", "a sweep lists at most 10,000 values of a key."),
        ("-m seed=range(0,1000) beta=range(1,1000)", "999,000 combinations; a sweep has at most 10,000 jobs."),
        ("-m beta=range(1,5,0)", "beta=range(1,5,0): range() arg 3 must not be zero."),
        ("sweep=beta_gird", "Did you mean 'beta_grid'?"),
        ("resume_sweep=nowhere", "resume_sweep=nowhere: no such folder."),
        ("resume_sweep=. beta=2", "beta=2 cannot be combined with resume_sweep"),
        ("resume_sweep=.", "resume_sweep=. is not a sweep: it has no sweep.json."),
        ("-m seed=0,1 hydra.sweeper.report=3", "hydra.sweeper.report=3: must be true or false."),
        ("-m seed=0,1 hydra/launcher=basi", "Did you mean 'basic'?"),
        ("-m seed=0,1 hydra/sweeper=basic", "hydra/sweeper=basic: unknown sweeper. Allowed: grid, optuna."),
    ],
)
def test_wrong_requests_end_with_one_sentence_and_no_folder(sweeps: Sweeps, line: str, sentence: str) -> None:
    outcome = sweeps(*line.split())
    assert outcome.status == 2
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1
    assert not list(sweeps.runner.cwd.glob("outputs/**/*"))


def test_an_odd_folder_is_taken_as_typed(sweeps: Sweeps, tmp_path: Path) -> None:
    folder = tmp_path / "it's [bold], beta=4"
    outcome = sweeps("-m", *TINY, "seed=0", f"hydra.sweep.dir={json.dumps(str(folder))}", "latent_dim=0", QUIET)
    assert outcome.out.startswith(f"sweep {os.path.relpath(folder)}\n")
    (said,) = re.findall(r"1 of 1 job failed .* run them again with (.*)\.$", outcome.err)
    assert shlex.split(said) == [f"resume_sweep={os.path.relpath(folder)}"], "as a shell takes it"
    assert sweeps(*shlex.split(said)).status == 1


def test_the_folder_of_another_sweep_is_refused_and_of_the_same_gone_on_with(sweeps: Sweeps, tmp_path: Path) -> None:
    arguments = ["-m", *TINY, f"hydra.sweep.dir={tmp_path / 'mine'}", QUIET]
    assert sweeps(*arguments, "latent_dim=0,-1").status == 1
    before = (tmp_path / "mine" / "sweep.json").read_text()
    outcome = sweeps(*arguments, "latent_dim=2,3")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "this folder already holds a sweep started with a different command" in outcome.err
    assert f"with resume_sweep={os.path.relpath(tmp_path / 'mine')}." in outcome.err
    assert (tmp_path / "mine" / "sweep.json").read_text() == before
    again = sweeps(*arguments, "latent_dim=0,-1", "hydra.sweeper.report=true")
    assert (again.status, "2 of 2 jobs failed" in again.err) == (1, True), again.err


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("-m beta=1,2", []),
        ("--config-dir mine -m beta=1", ["--config-dir", "{cwd}/mine"]),
        ("-cd=mine -cn own", ["--config-dir", "{cwd}/mine", "--config-name", "own"]),
        ("--config-dir=/a/b --multirun ~callbacks --config-name own", ["--config-dir", "/a/b", "--config-name", "own"]),
    ],
)
def test_a_record_keeps_where_its_configuration_came_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, kept: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert config_flags(line.split()) == [text.format(cwd=tmp_path) for text in kept]
