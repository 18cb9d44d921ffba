"""The check of a machine with a GPU: the parts that run without a GPU."""

from __future__ import annotations

import json
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

gpu_check: Any = import_module("benchmarks.gpu_check")
Row = gpu_check.Row


def test_without_a_gpu_it_ends_with_a_sentence(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_check.main([]) == 2
    assert capsys.readouterr().err == "error: this machine has no GPU that torch can use, so there is nothing to check.\n"


@pytest.mark.parametrize(("held", "status"), [(True, 0), (False, 1)])
def test_its_table_has_a_row_for_each_check(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, held: bool, status: int
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a stand-in")
    monkeypatch.setattr(
        gpu_check, "ROWS", {"train": lambda _: Row("", True, 1234.0, 1.0), "resume": lambda _: Row("", held, None, 2.0)}
    )
    assert gpu_check.main([]) == status
    out = capsys.readouterr().out
    assert "1,234" in out
    assert "resume: held" in out if held else "resume: FAILED" in out
    assert gpu_check.main(["--only", "train"]) == 0
    assert gpu_check.main(["--seconds", "-1"]) == 0
    assert "not run" in capsys.readouterr().out


def test_a_run_on_the_cpu_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The device and the test ELBO are read from the results that a training command leaves."""

    def leave(device: str, elbo: float) -> Any:
        def run(line: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
            folder = tmp_path / "outputs" / "name" / "run"
            folder.mkdir(parents=True, exist_ok=True)
            results = {"device": device, "test": {"elbo": elbo}, "images_per_second": 9}
            (folder / "results.json").write_text(json.dumps(results))
            return subprocess.CompletedProcess(line, 0, "", "")

        monkeypatch.setattr(subprocess, "run", run)
        return gpu_check.training()(tmp_path)

    assert leave("cuda:0", -100.0).held
    assert not leave("cpu", -100.0).held
    assert not leave("cuda:0", float("nan")).held


def test_a_command_that_fails_gives_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "first\nerror: the last line\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    for row in (gpu_check.training(), gpu_check.on_run("evaluate.py"), gpu_check.killed_and_resumed()):
        found = row(tmp_path)
        assert (found.held, found.note) == (False, "error: the last line")


def test_checkpoints_are_compared_weight_by_weight_and_moment_by_moment(tmp_path: Path) -> None:
    def save(name: str, weight: float, moment: float) -> Path:
        state = {0: {"exp_avg": torch.tensor(moment)}}
        torch.save({"state_dict": {"w": torch.tensor(weight)}, "optimizer_states": [{"state": state}]}, tmp_path / name)
        return tmp_path / name

    one = save("one", 1.0, 2.0)
    assert gpu_check.differences(one, save("same", 1.0, 2.0)) == []
    assert gpu_check.differences(one, save("other", 1.5, 2.5)) == ["w", "moment exp_avg of 0"]
