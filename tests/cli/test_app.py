"""The command line: what is refused, with which message, and how quickly."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.running import REPOSITORY, SHORT, Runner, run_script
from vae_lightning.api.arguments import quote_paths
from vae_lightning.config.command_line import check_command_line

HERE = {
    **os.environ,
    "PYTHONPATH": str(REPOSITORY),
}  # the code next to these tests, even if the package is installed from elsewhere


def test_full_errors_on_request(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    from vae_lightning.errors import UserError

    with pytest.raises(UserError, match="model=cnn"):
        runner("train", "model=cnn")


def test_answers_without_torch(tmp_path: Path) -> None:
    """Help and mistakes must not wait for torch, let alone Lightning."""
    lines = ["--help", "model=cnn", "latnt_dim=3", "beta=-1", "--cfg job", "lr_schedule.final=2", "optimizer.lr=abc"]
    code = (
        "import sys\n"
        "from vae_lightning.cli.train import main\n"
        f"for line in {lines!r}:\n"
        "    sys.argv = ['train.py', *line.split()]\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
        "    assert 'torch' not in sys.modules and 'lightning' not in sys.modules, f'{line}: heavy imports'\n"
        "print('quick')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=HERE, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout.endswith("quick\n")) == (0, True), done.stderr
    assert done.stderr.count("error: ") == 5


def test_a_wrong_number_does_not_wait_for_lightning(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['train.py', 'optimizer.betas=[2,0.9]']\n"
        "from vae_lightning.cli.train import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "assert 'lightning' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=HERE, capture_output=True, text=True, timeout=100, check=False
    )
    assert (done.returncode, done.stderr) == (0, "error: optimizer: Invalid beta parameter at index 0: 2.\n")


def test_help_lists_every_group(tmp_path: Path) -> None:
    outcome = run_script("train.py", ["--help"], tmp_path)
    assert outcome.status == 0
    for line in ("model: conv, mlp, resnet", "data: arrays, celeba, cifar10, cifar100", "train: groups and their options"):
        assert line in outcome.out


def test_a_sweep_gets_a_folder_named_after_data_and_model() -> None:
    sweep = ["-m", "seed=0,1", "model=conv"]
    folder = check_command_line(sweep, "train").sweep_folder
    assert folder is not None
    assert folder.parent == Path("outputs/sweeps/mnist5k-conv")
    assert check_command_line([*sweep, "hydra.sweep.dir=here"], "train").sweep_folder is None


def test_paths_are_taken_as_typed() -> None:
    assert quote_paths(["run=outputs/beta=4", "beta=2"]) == ["run='outputs/beta=4'", "beta=2"]
    assert quote_paths(["run='quoted'", "run=null"]) == ["run='quoted'", "run=null"]
    assert quote_paths(["-m", "run=a b,c"]) == ["-m", "run='a b','c'"]
    assert quote_paths(["resume=it's"]) == [r"resume='it\'s'"]
    assert quote_paths(["run='90s/b"]) == [r"run='\'90s/b'"], "quotes that are part of a name"
    assert quote_paths(["-m", "run='a b',c", "run='a,b'"]) == ["-m", "run='a b',c", "run='a,b'"]


def test_a_run_is_found_under_an_odd_name(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "name='beta=4, two words'")
    assert "beta=4, two words" in str(folder)
    outcome = runner("evaluate", f"run={folder}", "nll.samples=2")
    assert outcome.status == 0, outcome.err


def test_options_in_a_users_folder_are_known(runner: Runner) -> None:
    """--config-dir adds options, and the checks know them."""
    (runner.cwd / "mine" / "model").mkdir(parents=True)
    (runner.cwd / "mine" / "model" / "tiny.yaml").write_text(
        "_target_: vae_lightning.models.architectures.MLP\nhidden: [4]\nactivation: tanh\n"
    )
    outcome = runner("train", "--config-dir", "mine", "model=tiny", "trainer.fast_dev_run=true")
    assert outcome.status == 0, outcome.err
    assert "tiny" in outcome.out
    assert "Did you mean 'tiny'" in runner("train", "--config-dir", "mine", "model=tinny").err


def test_a_command_that_is_run_several_times_leaves_no_file_of_hydra(runner: Runner) -> None:
    outcome = runner("evaluate", "-m", "run=none,neither")
    assert outcome.status == 2
    assert outcome.err == "error: run=none: no such file or folder.\n"
    assert list(runner.cwd.iterdir()) == []


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    """`… --help | head`: the pipe is closed before everything is written."""
    command = [sys.executable, str(REPOSITORY / "train.py"), "--help"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert (process.communicate(timeout=60)[1], process.returncode) == ("", 1)


PRINTING = (
    "train.py --help", "train.py --help objective", "train.py --hydra-help", "train.py --version", "train.py --cfg job",
    "train.py --cfg all --resolve", "train.py --cfg hydra -p hydra.job", "train.py --info", "train.py --info defaults-tree",
    "train.py --shell-completion query=bash", "report.py sweep=none --help", "evaluate.py --cfg job run=x",
    "explore.py --version", "-m vae_lightning", "-m vae_lightning --help", "-m vae_lightning export --help",
    "-m vae_lightning generate --info config run=x",
)  # fmt: skip


def typed(line: str) -> list[str]:
    """The command line as arguments of a process: the scripts are found from any folder."""
    return [sys.executable, *(str(REPOSITORY / word) if word.endswith(".py") else word for word in line.split())]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
@pytest.mark.parametrize(
    ("line", "unbuffered"), [*((line, "") for line in PRINTING), ("train.py --help", "1"), ("-m vae_lightning", "1")]
)
def test_a_full_output_is_one_sentence(tmp_path: Path, line: str, unbuffered: str) -> None:
    completing = {"COMP_LINE": "train.py mod", "COMP_POINT": "12", "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            typed(line), cwd=tmp_path, env={**HERE, **completing}, stdout=full, stderr=subprocess.PIPE, text=True,
            timeout=300, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        1,
        "error: There is no room for what this command writes (No space left on device): free some space, or "
        "send it elsewhere.\n",
    )


@pytest.mark.skipif(os.name != "posix", reason="closes a stream as a shell does")
@pytest.mark.parametrize("line", ["train.py --help", "train.py --cfg job", "-m vae_lightning", "report.py sweep=none"])
def test_a_closed_output_is_like_dev_null(tmp_path: Path, line: str) -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *typed(line)],
            cwd=tmp_path, env=HERE, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == (2 if "none" in line else 0), (closed, done)
        assert "Traceback" not in done.stderr + done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is full")
def test_a_run_with_a_full_output_says_that_it_is_the_output(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*typed("train.py"), *SHORT],
            cwd=tmp_path, env=HERE, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: There is no room for what this command writes (No space left on device)")
    assert done.stderr.count("\n") == 1


def test_what_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    outcome = run_script("train.py", ["name=é\u202e", "beta=-1"], tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "Traceback" not in outcome.err
    outcome = run_script("train.py", ["--help", "likelihood"], tmp_path, PYTHONIOENCODING="ascii", LC_ALL="C", PYTHONUTF8="0")
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize("line", ["train beta=3", "train resume=x", "evaluate run=x", "report sweep=x"])
def test_a_current_folder_that_is_gone(runner: Runner, line: str) -> None:
    gone = runner.cwd / "gone"
    gone.mkdir()
    runner.monkeypatch.chdir(gone)
    gone.rmdir()
    outcome = runner(*line.split())
    assert (outcome.status, outcome.err.count("\n")) == (1, 1), outcome.err
    assert outcome.err.startswith("error: The current folder is not there any more: change to another one")


def test_a_run_folder_in_the_environment_that_no_run_has_set(runner: Runner) -> None:
    runner.monkeypatch.setenv("VAE_LIGHTNING_RUN_FOLDER", str(runner.cwd / "x"))
    outcome = runner("train", "beta=3")
    assert outcome.status == 2
    assert outcome.err.startswith("error: VAE_LIGHTNING_RUN_FOLDER is set, as only the processes of one run do")


def test_a_restart_count_that_is_no_number(runner: Runner) -> None:
    for name, value in (("SLURM_JOB_ID", "1"), ("SLURM_RESTART_COUNT", "abc")):
        runner.monkeypatch.setenv(name, value)
    (runner.cwd / "outputs" / ".slurm").mkdir(parents=True)
    (runner.cwd / "outputs" / ".slurm" / "1").write_text("x")
    outcome = runner("train", "trainer.fast_dev_run=true", "model.hidden=[8]", "callbacks=minimal")
    assert outcome.status == 0, outcome.err


def test_a_sweep_that_cannot_make_its_folder(runner: Runner) -> None:
    (runner.cwd / "file").touch()
    outcome = runner("train", "-m", "beta=1,2", "output_dir=file")
    assert (outcome.status, outcome.err.count("\n")) == (1, 1), outcome.err
    assert "cannot be created (" in outcome.err
