"""A run or sweep from someone else changes nothing outside its folder, runs nothing and connects to nothing."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import pytest

from tests.hostile.changes import PRECIOUS, slug
from tests.hostile.runs import RUNS
from tests.hostile.sweeps import SWEEPS
from tests.hostile.witness import tree, watching
from tests.running import SHORT, Outcome, Runner, in_process, train_once
from tests.sweeps.sweeping import TINY

# what each command gets in addition to the folder, to be quick
COMMANDS: dict[str, tuple[str, ...]] = {
    "train": ("resume=RUN", "trainer.max_epochs=2"),
    "evaluate": ("run=RUN", "measures=[reconstructions]"),
    "generate": ("run=RUN", "what=samples", "samples.rows=2"),
    "explore": ("run=RUN", "images=2", "starts=1"),
    "export": ("run=RUN", "formats=[safetensors]"),
}
LONGEST, MOST_MEMORY = 20, 2**30  # seconds of processor time of a command, and bytes beyond what was needed before
SWEEP_COMMANDS: dict[str, tuple[str, ...]] = {"report": ("sweep=RUN", "images=0"), "train": ("resume_sweep=RUN",)}
MOST = {"evaluate": 60, "generate": 60, "explore": 12, "export": 12}  # how many of the folders in the usual run of the tests


@pytest.fixture(scope="module")
def sent_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run as somebody else would send it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path_factory.mktemp("somebody")))
        cwd = tmp_path_factory.mktemp("sent")
        return train_once(cwd, *SHORT, "trainer.max_epochs=1", "data.batch_size=200")


@pytest.fixture(scope="module")
def sent_sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path_factory.mktemp("somebody")))
        patch.setattr("vae_lightning.training.finish.draw_pictures", lambda *_: {})
        cwd = tmp_path_factory.mktemp("sent_sweep")
        outcome = in_process(cwd, "train", "-m", *TINY, "trainer.max_epochs=1", "beta=1,2", "hydra.sweeper.report=false")
        assert outcome.status == 0, outcome.err
        return next(cwd.glob("outputs/sweeps/*/*/sweep.json")).parent


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    folder = tmp_path / "victim"
    (folder / "folder").mkdir(parents=True)
    (folder / PRECIOUS).write_text("precious\n")
    (folder / "folder" / "precious.ckpt").write_text("precious\n")
    return folder


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))


def tried(runner: Runner, command: str, arguments: tuple[str, ...], folder: Path, victim: Path) -> Outcome:
    """Run the command on a hostile folder; fail if it did anything outside it, or ended with anything but a sentence."""
    here = runner.cwd / "here"
    here.mkdir()
    runner.monkeypatch.chdir(here)
    before = tree(victim)
    given = [argument.replace("RUN", str(folder)) for argument in arguments]
    began, peak = time.process_time(), peak_memory()
    with watching(folder, here, runner.cwd / "home") as witness:
        outcome = runner(command, *given)
    assert time.process_time() - began < LONGEST
    assert peak_memory() - peak < MOST_MEMORY
    assert tree(victim) == before, outcome
    assert witness.seen == []
    assert list(here.iterdir()) == [], "left where the command was typed"
    assert outcome.status in (0, 1, 2), outcome
    assert "Traceback" not in outcome.err
    assert "\x1b" not in outcome.out + outcome.err
    if outcome.status:
        assert outcome.err.startswith("error: "), outcome.err
        assert outcome.err.count("\n") == 1, outcome.err
        assert len(outcome.err) < 1000
    return outcome


def peak_memory() -> int:
    """The most memory that this process has held so far, in bytes; 0 where the system does not say."""
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def chosen(command: str) -> list[str]:
    """The names of the hostile runs that a command is tried on: all for resume, every n-th for the others."""
    names = sorted(RUNS)
    most = MOST.get(command, len(names))
    return [name for place, name in enumerate(names) if place * most // len(names) != (place - 1) * most // len(names)]


def others(command: str) -> list[str]:
    """The names of the hostile runs that `chosen` leaves out."""
    return sorted(set(RUNS) - set(chosen(command)))


@pytest.mark.slow
@pytest.mark.parametrize(("command", "name"), [(c, n) for c in COMMANDS for n in others(c)], ids=slug)
def test_a_hostile_run_harms_no_other_command(
    runner: Runner, sent_run: Path, victim: Path, tmp_path: Path, command: str, name: str
) -> None:
    test_a_hostile_run_harms_nothing(runner, sent_run, victim, tmp_path, command, name)


@pytest.mark.parametrize(("command", "name"), [(c, n) for c in COMMANDS for n in chosen(c)], ids=slug)
def test_a_hostile_run_harms_nothing(
    runner: Runner, sent_run: Path, victim: Path, tmp_path: Path, command: str, name: str
) -> None:
    folder = shutil.copytree(sent_run, tmp_path / "sent" / "run", symlinks=True)
    RUNS[name](folder, victim)
    tried(runner, command, COMMANDS[command], folder, victim)


@pytest.mark.parametrize(("command", "name"), [(c, n) for c in SWEEP_COMMANDS for n in sorted(SWEEPS)], ids=slug)
def test_a_hostile_sweep_harms_nothing(
    runner: Runner, sent_sweep: Path, victim: Path, tmp_path: Path, command: str, name: str
) -> None:
    folder = shutil.copytree(sent_sweep, tmp_path / "sent" / "sweep", symlinks=True)
    SWEEPS[name](folder, victim)
    tried(runner, command, SWEEP_COMMANDS[command], folder, victim)
    page = folder / "report.html"
    if page.is_file() and not page.is_symlink():
        text = page.read_text()
        assert "<script>alert" not in text
        assert "<script>document" not in text
        assert "<img src=x" not in text
        assert str(tmp_path / "home") not in text, "a variable of the environment"


def test_there_are_enough_of_them() -> None:
    assert len(RUNS) + len(SWEEPS) >= 60


def test_the_witness_sees(tmp_path: Path) -> None:
    """A witness that sees nothing would let everything pass."""
    import subprocess

    with watching(tmp_path / "allowed") as witness:
        (tmp_path / "written").write_text("x")
        (tmp_path / "written").unlink()
        subprocess.run(["true"], check=True)
    assert [seen.split()[0] for seen in witness.seen] == ["open", "os.remove", "subprocess.Popen"]
