"""One damaged file of a sweep makes its job "damaged", and affects no other; what a sweep from someone else may contain."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running import Runner
from tests.sweeps.sweeping import QUIET, TINY, Sweeps
from vae_lightning.config.compose import hydra_composer
from vae_lightning.errors import RunError, UserError
from vae_lightning.reports.sweep.gather import gather
from vae_lightning.reports.sweep.history import read_history
from vae_lightning.runs import signature
from vae_lightning.runs import sweep_record as record
from vae_lightning.runs.sweep_record import Sweep
from vae_lightning.sweeps.foreign import check_foreign_sweep, check_sweep_folder, is_allowed

CONFIG = "choices: {data: mnist5k, likelihood: bernoulli}\nbinarization: dynamic\n"
METRICS = "kind,epoch,elbo\nval,0,-9\nval,1,-8\n"


@pytest.fixture
def sweep(tmp_path: Path) -> Sweep:
    """Three finished jobs."""
    made = Sweep(tmp_path / "sweep", ["-m", "beta=1,2,3"])
    for beta in (1, 2, 3):
        job = made.add([f"beta={beta}"], f"beta={beta}")
        folder = made.folder / job.folder
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"{CONFIG}beta: {beta}\n")
        (folder / "results.json").write_text(json.dumps({"test": {"elbo": -float(beta)}, "steps": 7}))
        (folder / "metrics.csv").write_text(METRICS)
        made.set_state(job, "done")
    made.save()
    return made


def fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def device(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a FIFO": fifo,
    "a folder": folder,
    "not UTF-8": lambda path: path.write_bytes(b"\xff\xfe\x00{"),
    "nested": lambda path: path.write_text("[" * 100_000),
    "a list": lambda path: path.write_text("[1, 2]"),
    "huge": lambda path: path.write_text("x" * 70_000_000),
    "a device": device,
}
WRONG: dict[tuple[str, str], Callable[[Path], object]] = {
    ("results.json", "cut"): cut,
    ("state", "cut"): cut,
    ("state", "of an unknown state"): lambda path: path.write_text('{"state": "dancing"}'),
    ("state", "with a text for seconds"): lambda path: path.write_text('{"state": "done", "seconds": "long"}'),
    ("state", "with NaN"): lambda path: path.write_text('{"state": "done", "seconds": NaN}'),
    ("results.json", "with a text for a number"): lambda path: path.write_text('{"test": {"elbo": "x"}, "steps": 7}'),
    ("results.json", "with a list for a table"): lambda path: path.write_text('{"test": [1], "steps": 7}'),
    ("results.json", "with a text for its KLs"): lambda path: path.write_text('{"test": {"kl_per_dimension": ["x"]}}'),
    ("results.json", "missing"): lambda path: path.unlink(),
    ("config.yaml", "missing"): lambda path: path.unlink(),
    ("config.yaml", "without its choices"): lambda path: path.write_text("beta: 1\n"),
    ("config.yaml", "with a list for its data"): lambda path: path.write_text(f"{CONFIG}data: [1]\n"),
    ("config.yaml", "with aliases"): lambda path: path.write_text(f"{CONFIG}a: &a [1]\nb: [*a, *a]\n"),
    **{(name, kind): damage for name in ("state", "results.json", "config.yaml") for kind, damage in DAMAGES.items()},
}


@pytest.mark.parametrize(("name", "kind"), WRONG, ids=lambda text: text.replace(" ", "-"))
def test_a_damaged_file_makes_its_job_damaged_and_no_other(runner: Runner, sweep: Sweep, name: str, kind: str) -> None:
    job = sweep.jobs[1]
    path = record.state_path(sweep.folder, 1) if name == "state" else sweep.folder / job.folder / name
    WRONG[name, kind](path)
    runs = gather([sweep.folder]).runs
    assert [run.state for run in runs] == ["done", "damaged", "done"]
    assert [run.metrics.get("test") for run in runs if run.done] == [{"elbo": -1.0}, {"elbo": -3.0}]
    outcome = runner("report", f"sweep={sweep.folder}", "images=0")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"damaged {job.folder}: {path}" in outcome.out
    for written in ("summary.csv", "summary.md", "report.html"):
        assert path.name in (sweep.folder / written).read_text()


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a device", "cut"])
def test_damaged_metrics_are_named_and_the_run_is_ranked(runner: Runner, sweep: Sweep, kind: str) -> None:
    path = sweep.folder / sweep.jobs[1].folder / "metrics.csv"
    ({**DAMAGES, "cut": lambda p: p.write_text(METRICS[:-5])}[kind])(path)
    outcome = runner("report", f"sweep={sweep.folder}", "images=0")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"damaged {sweep.jobs[1].folder}: {path}" in outcome.out


@pytest.mark.parametrize(
    ("text", "curve", "damaged"),
    [
        (METRICS, {0: -9.0, 1: -8.0}, False),
        ("kind,epoch,elbo\nval,0,nan\n", None, False),
        ("kind,epoch,elbo\nval,0,-9\nval,x,-8\nval,1e999,3\nval,-1,3\nval,2,\0\nval,3\n", {0: -9.0}, True),
        ("kind,epoch,elbo\nval,0,-9\n" + "x" * 200_000, {0: -9.0}, True),
        ("epoch,elbo\n0,-9\n", {}, True),
        ("", {}, True),
    ],
)
def test_the_rows_that_can_be_read_are_read(tmp_path: Path, text: str, curve: dict | None, damaged: bool) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    history, sentence = read_history(path)
    assert curve is None or history.get(("val", "elbo"), {}) == curve
    assert (sentence is not None) == damaged


@pytest.mark.parametrize("kind", ["cut", "a folder", "a FIFO"])
def test_a_sweep_with_a_damaged_state_is_resumed(sweeps: Sweeps, kind: str) -> None:
    """The damaged job is done, as its folder shows; the other one, which was waiting, is trained."""
    assert sweeps("-m", *TINY, QUIET, "beta=1,2", "trainer.max_epochs=1").status == 0
    made = record.load(sweeps.folder)
    made.reset(made.jobs[1])
    path = record.state_path(made.folder, 0)
    {**DAMAGES, "cut": cut}[kind](path)
    outcome = sweeps(f"resume_sweep={made.folder}")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"{path} is" in outcome.out
    assert "set aside, and job 000 is done" in outcome.out
    assert sweeps.states() == ["done", "done"]


def test_a_record_that_is_changed_or_of_another_user_is_foreign(
    sweep: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sweep.folder / "sweep.json"
    content = json.loads(path.read_text())
    assert record.load(sweep.folder).own
    path.write_text(json.dumps(content))
    assert record.load(sweep.folder).own, "laid out otherwise, but the same"
    for changed in (
        {**content, "directory": "/"},
        {k: v for k, v in content.items() if k != "signature"},
        {**content, "signature": 1},
    ):
        path.write_text(json.dumps(changed))
        assert not record.load(sweep.folder).own
    path.write_text(json.dumps(content))
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "another"))
    foreign = record.load(sweep.folder)
    assert not foreign.own
    foreign.save()
    assert not signature.is_own_json(json.loads(path.read_text())), "a foreign sweep never becomes one's own"


def test_a_foreign_sweep_needs_trust_beyond_shipped_options(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep.own = False
    monkeypatch.delenv(record.TRUSTED, raising=False)
    check_foreign_sweep(sweep)
    sweep.jobs[2].overrides.append("+callbacks.x._target_=os.mkdir")
    with pytest.raises(UserError, match=r"\+callbacks.x._target_=os.mkdir goes beyond .* add trust_run_code=true"):
        check_foreign_sweep(sweep)
    monkeypatch.setenv(record.TRUSTED, str(sweep.folder))
    check_foreign_sweep(sweep)


ALLOWED = (
    "-m", "model=mlp,conv", "beta=1,2", "latent_dim=tag(log,int(interval(4,64)))", "sweep=optuna", "hydra.sweeper.n_trials=4",
    "++model.channels=[16]", "model.hidden=[16]", "trainer.max_epochs=2", "callbacks=minimal", "logger=none", "~callbacks.best",
    "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "objective/kl=free_bits", "data.root=/x", "seed=range(0,3)",
    "experiment=quickstart", "hydra/sweeper/sampler=random", "trainer.strategy=ddp", "model=glob(*)", "data.download=false",
    "callbacks.best={monitor: val/kl, mode: min}", "trainer.profiler=null",
)  # fmt: skip
REFUSED = (
    "+callbacks.x._target_=os.mkdir", "model._target_=os.mkdir", "--config-dir", "VICTIM", "hydra.searchpath=[file://x]",
    "output_dir=x", "hydra.launcher._target_=os.mkdir", "name=${oc.env:HOME}", "logger=wandb", "logger=csv,mlflow",
    "trainer.profiler=simple", "trainer.num_nodes=1,2", "+trainer.default_root_dir=x", "hydra.launcher.setup=[x]",
    "hydra/launcher=submitit_slurm", "hydra.sweeper.storage=sqlite:///x", "hydra.run.dir=x", "hydra.sweep.dir=x",
    "model.hidden=[{_target_: os.mkdir, path: x}]", "model.hidden=choice([{_target_: os.mkdir}],[16])",
    "callbacks.best=choice({_target_: os.mkdir},{monitor: x})", "trainer.plugins=[x]", "data.download=choice(true,false)",
    "resume=x", "debug=profile", "trainer.fast_dev_run=true", "trainer.strategy=deepspeed", "logger.csv.name=../x",
    "logger.tensorboard.label=../x", "hydra.job.env_set={A: b}", "logger@callbacks=csv", "+model@x=conv", "a\x1bb=1",
    "trainer.barebones=true", "seed=[1", "hydra/job_logging=stdout", "name='\\${oc.env:HOME}'", "callbacks.last._partial_=true",
)  # fmt: skip


def test_one_function_decides_about_every_argument() -> None:
    with hydra_composer() as composer:
        assert [text for text in ALLOWED if not is_allowed(text, composer)] == []
        assert [text for text in REFUSED if is_allowed(text, composer)] == []


def test_what_is_trusted_runs(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`trust_run_code=true` in addition to `resume_sweep=` trusts a foreign sweep."""
    assert sweeps("-m", *TINY, QUIET, "beta=1,2", "trainer.max_epochs=1", f"output_dir={tmp_path / 'outputs'}").status == 0
    made = record.load(sweeps.folder)
    made.reset(made.jobs[1])
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "another"))
    monkeypatch.delenv(record.TRUSTED, raising=False)
    refused = sweeps(f"resume_sweep={made.folder}")
    assert refused.status == 2
    assert "output_dir=" in refused.err
    assert sweeps.states() == ["done", "done"], "nothing was changed"
    outcome = sweeps(f"resume_sweep={made.folder}", "trust_run_code=true")
    assert (outcome.status, outcome.err) == (0, "")
    assert record.load(made.folder).state(made.jobs[1])["state"] == "done"
    monkeypatch.delenv(record.TRUSTED)


@pytest.mark.parametrize("name", ["sweep.lock", "multirun.yaml", "study.log", "jobs/000.lock"])
def test_nothing_is_written_through_a_hard_link(sweep: Sweep, tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("x")
    os.link(tmp_path / "outside", sweep.folder / name)
    with pytest.raises(UserError, match="is a hard link"):
        check_sweep_folder(sweep.folder)
    assert not sweep.runs(sweep.jobs[0])
    assert (tmp_path / "outside").read_text() == "x", "taking its lock would have emptied it"


def test_a_job_outside_of_its_sweep_is_not_deleted(sweep: Sweep, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    job = sweep.jobs[0]
    (sweep.folder / job.folder).rename(tmp_path / "moved")
    (sweep.folder / job.folder).symlink_to(tmp_path / "outside")
    with pytest.raises(RunError, match="is a link, so it is not deleted"):
        sweep.reset(job)
    assert (tmp_path / "outside").is_dir()
