"""Atomic writes and locks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from filelock import FileLock

from tests.running import REPOSITORY
from vae_lightning import files
from vae_lightning.errors import RunError, UserError

HOLD = """
import os, sys, time
from pathlib import Path
from vae_lightning.files import exclusive_folder
with exclusive_folder(Path(sys.argv[1]), patience=float(sys.argv[2])):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""


def hold(folder: Path, patience: float, seconds: float) -> subprocess.Popen[str]:
    """A process that locks the folder, says so, and keeps it for some seconds."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), str(patience), str(seconds)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def fail() -> None:
        with files.atomic_write(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"], "nothing half-written is left"


@pytest.mark.parametrize("links", [True, False])
def test_of_two_processes_that_make_a_file_at_once_the_first_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def without(*arguments: object) -> None:
        raise OSError("this file system has no links")

    path = tmp_path / "key"
    if not links:
        monkeypatch.setattr(os, "link", without)
    with files.atomic_write(path, private=True, keep_existing=True) as file:
        file.write(b"mine")
    assert path.read_bytes() == b"mine"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    if links:
        with files.atomic_write(path, keep_existing=True) as file:
            file.write(b"too late")
        assert path.read_bytes() == b"mine"
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


def test_a_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "target", tmp_path / "link"
    target.write_text("mine")
    path.symlink_to(target)
    files.write_text(path, "new")
    assert (target.read_text(), path.read_text(), path.is_symlink()) == ("mine", "new", False)


def test_what_a_killed_writer_left_is_deleted_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    child = os.fork()
    if child == 0:
        with files.atomic_write(path) as file:
            file.write(b"half")
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (left,) = tmp_path.iterdir()
    with files.atomic_write(path), files.atomic_write(tmp_path / "b.json"):
        (tmp_path / ".a.json.other-1-00.tmp").touch()
        files.write_text(path, "whole")
        names = {p.name for p in tmp_path.iterdir()}
        assert left.name not in names
        assert sum(name.endswith(".tmp") for name in names) == 3, "those of a living process, and what is not ours, are kept"


def test_a_durable_file_is_flushed_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    done: list[tuple[str, bool]] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: done.append(("flushed", path.exists())))
    with files.atomic_write(path, durable=True, before_rename=lambda: done.append(("before", path.exists()))) as file:
        file.write(b"x")
    assert done == [("flushed", False), ("before", False), ("flushed", True)]


def test_a_second_process_is_refused_and_a_killed_one_holds_nothing(tmp_path: Path) -> None:
    first = hold(tmp_path, 0, 60)
    assert line_of(first) == "held"
    with pytest.raises(RunError, match="Another process is training"), files.exclusive_folder(tmp_path, patience=0.1):
        pass
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with files.exclusive_folder(tmp_path, patience=0):
        assert (tmp_path / files.LOCK).exists()
    assert not list(tmp_path.iterdir()), "no lock file is left"


def test_a_process_that_waits_gets_the_folder_and_a_third_does_not(tmp_path: Path) -> None:
    """Although the lock file is deleted when the first process ends."""
    with files.exclusive_folder(tmp_path):
        second = hold(tmp_path, 20, 60)
        time.sleep(1.5)
    try:
        assert line_of(second) == "held"
        with pytest.raises(RunError), files.exclusive_folder(tmp_path, patience=0.1):
            pass
    finally:
        second.kill()
        second.communicate()


def test_a_forked_process_neither_holds_nor_releases(tmp_path: Path) -> None:
    with files.exclusive_folder(tmp_path):
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        other = hold(tmp_path, 0, 0)
        assert other.communicate()[0] == "", "still held by this process"
    child = None  # type: ignore[assignment]
    with files.try_lock(tmp_path / "a.lock") as free:
        assert free
        child = os.fork()
        if child == 0:  # outlives the block
            time.sleep(5)
            os._exit(0)
    try:
        with files.try_lock(tmp_path / "a.lock") as free:
            assert free, "the child does not hold it"
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_without_locks_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a read-only folder, or a file system that has none."""

    def acquire(self: FileLock, **_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(FileLock, "acquire", acquire)
    with files.exclusive_folder(tmp_path), files.try_lock(tmp_path / "a.lock") as free:
        assert free
    (tmp_path / "a.lock").touch()
    assert not files.is_locked(tmp_path / "a.lock")


def test_a_lock_is_seen_while_it_is_held(tmp_path: Path) -> None:
    path = tmp_path / "jobs" / "000.lock"
    assert not files.is_locked(path)
    with files.try_lock(path) as free, files.try_lock(path) as again:
        assert (free, again, files.is_locked(path)) == (True, False, True)
    assert not files.is_locked(path)


def test_a_path_that_nobody_can_look_up_is_named_by_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "circle").symlink_to("circle")
    for path, reason in (
        ("~nosuchuser/x", "there is no such user"),
        ("x/" * 3000, "File name too long"),
        ("x" * 300, "File name too long"),
        (str(tmp_path / "circle"), "Too many levels of symbolic links"),
        ("a\0b", "embedded null byte"),
    ):
        with pytest.raises(UserError, match=rf"^key=.* cannot be accessed \({reason}\)\.$"):
            files.user_path("key", path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert files.user_path("key", "~/not/there") == files.user_path("key", "not/there") == tmp_path / "not" / "there"


def test_the_search_below_a_folder_ends(tmp_path: Path) -> None:
    (tmp_path / "b" / "a").mkdir(parents=True)
    (tmp_path / "up").symlink_to("..")
    for place in ("b", "b/a"):
        (tmp_path / place / "config.yaml").touch()
    assert files.find_below(tmp_path, "config.yaml") == [tmp_path / "b" / "a" / "config.yaml", tmp_path / "b" / "config.yaml"]
    for number in range(2100):
        (tmp_path / f"{number:04d}").mkdir()
    (tmp_path / "2099" / "config.yaml").touch()
    assert len(files.find_below(tmp_path, "config.yaml")) == 0
    assert files.find_below(tmp_path / "nowhere", "config.yaml") == []
