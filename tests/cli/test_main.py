"""`vae-lightning <command>`: the entry point of a wheel, and the wheel itself."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from tests.running import REPOSITORY, Outcome, run_interpreter
from vae_lightning.__main__ import COMMANDS, main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/vae-lightning", *arguments])
    main()


def test_without_a_command_they_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(monkeypatch)
    listed = capsys.readouterr().out
    assert all(f"  {name} " in listed for name in COMMANDS)


def test_every_script_of_the_repository_is_a_command() -> None:
    scripts = {path.stem for path in REPOSITORY.glob("*.py")}
    assert scripts == set(COMMANDS)


def test_an_unknown_command_is_named_with_the_closest_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(monkeypatch, "trian", "beta=4")
    assert capsys.readouterr().err == f"error: unknown command 'trian'. Did you mean 'train'? Commands: {', '.join(COMMANDS)}.\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vae-lightning tr", {"train"}),
        ("vae-lightning ", set(COMMANDS)),
        ("vae-lightning train model=", {"model=mlp", "model=conv", "model=resnet", "model=unet_kl"}),
        ("vae-lightning train model=mlp lat", {"latent_dim="}),
        ("vae-lightning generate wh", {"what="}),
    ],
)
def test_completion(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: str, expected: set[str]) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    with contextlib.suppress(SystemExit):
        run(monkeypatch, "-sc", "query=bash")
    assert set(capsys.readouterr().out.split()) == expected


def test_a_process_started_by_ddp_trains_without_the_command_name(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    monkeypatch.setattr("vae_lightning.cli.train.main", lambda: called.append(sys.argv[1:]))
    monkeypatch.setenv("VAE_LIGHTNING_RUN_FOLDER", "/somewhere")
    run(monkeypatch, "beta=4", "trainer=ddp")
    assert called == [["beta=4", "trainer=ddp"]]


# in one process, since importing torch takes longer than both commands
TRAIN_AND_EVALUATE = """
import pathlib, sys, vae_lightning
from vae_lightning.__main__ import main
print(vae_lightning.__file__)
sys.argv[1:] = "train model.hidden=[16] trainer.max_epochs=1 trainer.limit_train_batches=2 name=w callbacks=minimal".split()
main()
(folder,) = pathlib.Path("outputs/w").iterdir()
sys.argv[1:] = ["evaluate", f"run={folder}", "nll.samples=0"]
main()
"""


def test_a_wheel_trains_and_evaluates_from_any_folder(tmp_path: Path) -> None:
    def python(*arguments: str, cwd: Path, **environment: str) -> Outcome:
        done = run_interpreter(arguments, cwd, environment)
        assert done.status == 0, done.err
        return done

    python("-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist"), cwd=REPOSITORY)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    python("-m", "zipfile", "-e", str(wheel), str(tmp_path / "site"), cwd=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    given = {"cwd": elsewhere, "PYTHONPATH": str(tmp_path / "site")}
    assert "generate" in python("-m", "vae_lightning", **given).out  # type: ignore[arg-type]
    assert (tmp_path / "site" / "vae_lightning" / "py.typed").exists()
    told = python("-c", TRAIN_AND_EVALUATE, **given)  # type: ignore[arg-type]
    assert told.out.startswith(str(tmp_path / "site"))
    assert told.out.count("\nelbo ") == 2
    assert told.err == "", "libraries talk beside the run"
    assert [path.name for path in elsewhere.glob("outputs/w/*/results.json")] == ["results.json"]
