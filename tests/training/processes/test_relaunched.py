"""Plain DDP: a process that dies or fails ends the run with one error message, wherever the main process waits for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.running import SHORT, run_python, run_script
from vae_lightning.errors import RunError, UserError
from vae_lightning.training.processes import relaunched as relaunching
from vae_lightning.training.processes.faults import ProcessLost
from vae_lightning.training.processes.relaunched import ERROR_FILE, Relauncher, further_process

DIES = "import os; os.kill(os.getpid(), 9)"
WAITS = "import time; time.sleep(60)"


def launcher(folder: Path, *programs: str) -> Relauncher:
    """A launcher whose other processes run these Python programs instead of the command."""

    class Planted(Relauncher):
        def start_processes(self) -> None:
            self.procs = [subprocess.Popen([sys.executable, "-S", "-c", program]) for program in programs]

    environment = SimpleNamespace(validate_settings=lambda **_: None, creates_processes_externally=False)
    made = Planted(environment, 1 + len(programs), 1)  # type: ignore[arg-type]
    made.folder = folder
    return made


def lost() -> None:
    raise RuntimeError("[gloo/transport/tcp/pair.cc:545] Connection closed by peer [127.0.0.1]:20896")


def says(folder: Path, rank: int, sentence: str, status: int) -> str:
    said = json.dumps({"sentence": sentence, "status": status})
    return f"open({str(folder / f'{ERROR_FILE}{rank}')!r}, 'w').write({said!r}); raise SystemExit({status})"


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ([DIES], r"died \(process 1 terminated with signal SIGKILL\)\.$"),
        (["raise SystemExit(3)"], r"died \(process 1 ended with status 3\)\.$"),
        ([WAITS, DIES], r"died \(process 2 terminated with signal SIGKILL\)\.$"),
    ],
)
def test_how_a_process_ended_is_said_where_its_connection_is_lost(programs: Sequence[str], words: str, tmp_path: Path) -> None:
    made = launcher(tmp_path, *programs)
    with pytest.raises(RunError, match=words):
        made.launch(lost)
    assert all(process.returncode is not None for process in made.procs), "none is left running"


def test_what_a_process_said_is_said_by_the_first(tmp_path: Path) -> None:
    (tmp_path / f"{ERROR_FILE}1").write_text(json.dumps({"sentence": "of an earlier start.", "status": 1}))
    with pytest.raises(UserError, match=r"^too much\.$") as found:
        launcher(tmp_path, WAITS, says(tmp_path, 2, "too much.", 2)).launch(lost)
    assert found.value.status == 2
    assert not list(tmp_path.iterdir())


def test_an_error_of_the_first_process_is_its_own(tmp_path: Path) -> None:
    def fail() -> None:
        while not list(tmp_path.glob(f"{ERROR_FILE}*")):
            time.sleep(0.01)
        raise ValueError("a bug")

    made = launcher(tmp_path, says(tmp_path, 1, "the same.", 2), WAITS)
    with pytest.raises(ValueError, match="a bug"):
        made.launch(fail)
    assert all(process.returncode is not None for process in made.procs)
    assert not list(tmp_path.iterdir())


def test_a_run_whose_processes_end_well_is_left_alone(tmp_path: Path) -> None:
    made = launcher(tmp_path, "pass")
    assert made.launch(lambda a, b: (a, b), 1, b=2) == (1, 2)
    assert made.procs[0].wait() == 0


def forked(action: Callable[[], object], out: Path) -> int:
    """Calls `action` in a forked process that prints to the file `out`; returns its status."""
    pid = os.fork()
    if not pid:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        sys.stderr = os.fdopen(2, "w", closefd=False)
        action()
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("program", "status", "sentence"),
    [
        (lambda folder: DIES, 1, "A process of the run died (process 1 terminated with signal SIGKILL)."),
        (lambda folder: says(folder, 1, "model=cnn: no such option.", 2), 2, "model=cnn: no such option."),
        (lambda folder: "raise SystemExit(130)", 130, "interrupted."),
    ],
)
def test_a_process_that_cannot_start_ends_the_first_that_waits_for_it(
    program: Callable[[Path], str], status: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relaunching, "PATIENCE", 0.1)
    folder = tmp_path / "name" / "run"
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    made = launcher(folder, program(folder), WAITS)
    assert forked(lambda: made.launch(lambda: time.sleep(30)), tmp_path / "out") == status
    assert (tmp_path / "out").read_text() == f"error: {sentence}\n"
    assert not folder.parent.exists(), "a run that did not start leaves nothing behind"


def test_a_further_process_leaves_its_sentence_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)

    def fails(error: UserError, folder: Path = tmp_path) -> int:
        with pytest.raises(SystemExit) as exit_, further_process(folder):
            raise error
        assert isinstance(exit_.value.code, int)
        return exit_.value.code

    assert (fails(ProcessLost("gone")), list(tmp_path.iterdir())) == (1, [])
    assert fails(UserError("wrong")) == 2
    assert json.loads((tmp_path / f"{ERROR_FILE}3").read_text()) == {"sentence": "wrong", "status": 2}
    with pytest.raises(RunError, match="full"), further_process(tmp_path / "none"):
        raise RunError("full")


ENDS = """
import atexit, os, sys
from pathlib import Path
from torch import distributed as dist
from vae_lightning.training.processes.relaunched import further_process

atexit.register(os.abort)  # as a thread of torch may do during Python's shutdown
dist.init_process_group("gloo", init_method=f"file://{os.getcwd()}/meet", rank=0, world_size=1)
sys.stdout.write("trained")
with further_process(Path.cwd()):
    pass
"""


def test_a_further_process_ends_without_the_shutdown_of_python(tmp_path: Path) -> None:
    ended = run_python(ENDS, [], tmp_path)
    assert (ended.status, ended.out) == (0, "trained"), ended.err


def test_a_process_whose_first_one_is_gone_does_not_begin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vae_lightning.training.processes.lifetime import FIRST, end_with_parent

    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    monkeypatch.setenv(FIRST, str(gone.pid))
    assert forked(end_with_parent, tmp_path / "out") == 1
    monkeypatch.setenv(FIRST, str(os.getpid()))
    assert forked(end_with_parent, tmp_path / "out") == 99


@pytest.mark.slow
def test_a_ddp_process_that_dies_as_it_starts_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        f"import os\nif os.environ.get('LOCAL_RANK') == '1':\n    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    arguments = [*SHORT, "trainer=ddp", "trainer.accelerator=cpu"]
    outcome = run_script("train.py", arguments, tmp_path, PYTHONPATH=str(tmp_path))
    assert (outcome.status, outcome.err) == (1, "error: A process of the run died (process 1 terminated with signal SIGKILL).\n")
    assert not list(tmp_path.glob("outputs/*"))
