"""What a resume does to the log files of a run, whatever the checkpoint says about them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vae_lightning.errors import RunError
from vae_lightning.training.log_files import read_header, truncate_logs
from vae_lightning.training.start import describe_progress

EVENTS = "train/events.out.tfevents.1.host"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A run folder with a metrics file and an event file of 10 bytes each."""
    run = tmp_path / "run"
    (run / "train").mkdir(parents=True)
    for name in ("metrics.csv", EVENTS):
        (run / name).write_text("0123456789")
    return run


def test_files_are_cut_to_their_sizes(logs: Path) -> None:
    assert truncate_logs(logs, {"metrics.csv": 4, EVENTS: 10}) == []
    assert [(logs / name).stat().st_size for name in ("metrics.csv", EVENTS)] == [4, 10]


@pytest.mark.parametrize("content", [b"kind,ep", b'{"kind": 1}\n', b"\xff\xfe\n", b"\n", b"kind;epoch;step\n", b"x" * 3_000_000])
def test_a_table_without_its_columns_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(RunError, match="does not name the columns kind, epoch and step"):
        read_header(tmp_path / "metrics.csv")


def test_the_columns_of_a_table_are_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"kind,epoch,step,elbo\r\ntrain,1,2,3\r\n")
    assert read_header(tmp_path / "metrics.csv") == ["kind", "epoch", "step", "elbo"]
    (tmp_path / "metrics.csv").write_bytes(b"")
    assert read_header(tmp_path / "metrics.csv") == []


@pytest.mark.parametrize("name", ["metrics.csv", EVENTS])
def test_a_file_that_was_removed_or_cut_is_mentioned(logs: Path, name: str) -> None:
    sizes = {"metrics.csv": 10, EVENTS: 10}
    (logs / name).write_text("0")
    assert truncate_logs(logs, sizes) == [f"{name} is shorter than it was at the checkpoint: some of its rows are missing."]
    (logs / name).unlink()
    assert truncate_logs(logs, sizes) == [f"{name} is missing: its content up to the checkpoint is lost."]


def test_many_files_are_mentioned_in_one_line(logs: Path) -> None:
    sizes = {"metrics.csv": 10, EVENTS: 10, **{f"{i}/events.out.tfevents.1": 1 for i in range(9000)}}
    (note,) = truncate_logs(logs, sizes)
    gone = "0/events.out.tfevents.1, 1/events.out.tfevents.1, 2/events.out.tfevents.1"
    assert note == f"{gone} and 8997 more are missing: their content up to the checkpoint is lost."


def test_nothing_is_deleted_without_a_word(logs: Path) -> None:
    (logs / f"{EVENTS}.result").touch()
    assert truncate_logs(logs, {"metrics.csv": 4, EVENTS: 10}, finished=True) == [], "what came last in a finished run"
    assert not (logs / f"{EVENTS}.result").exists()
    (note,) = truncate_logs(logs, {})
    assert "metrics.csv" in note
    assert EVENTS in note
    assert not (logs / "metrics.csv").exists()


def test_only_log_files_in_the_folder_count(logs: Path, tmp_path: Path) -> None:
    outside = tmp_path / "events.out.tfevents.2.host"
    outside.write_text("precious")
    (logs / "config.yaml").write_text("precious")
    (logs / "other").symlink_to(tmp_path)
    (logs / "again").symlink_to("train")
    (logs / "events.out.tfevents.3.host").symlink_to(outside)
    sizes = {"metrics.csv": 10, EVENTS: 10, "config.yaml": 0, "../events.out.tfevents.2.host": 0, str(outside): 0}
    truncate_logs(logs, sizes)
    assert (logs / EVENTS).read_text() == "0123456789", "by its second name, which the checkpoint does not know"
    truncate_logs(logs, {"other/events.out.tfevents.2.host": 0})
    assert outside.read_text() == (logs / "config.yaml").read_text() == "precious"


@pytest.mark.parametrize(
    ("epoch", "batch", "said"),
    [(1, 0, "at step 63, after 1 epoch"), (2, 0, "at step 63, after 2 epochs"), (1, 2, "at step 63, in epoch 2")],
)
def test_a_resume_says_whether_an_epoch_is_complete(epoch: int, batch: int, said: str) -> None:
    start: Any = SimpleNamespace(step=63, epoch=epoch, content={"position": {"batch": batch}})
    assert describe_progress(start) == said
