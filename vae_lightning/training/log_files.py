"""The log files of a run, `metrics.csv` and TensorBoard's event files: their sizes at a checkpoint, truncated on a resume."""

from __future__ import annotations

import os
from pathlib import Path

from vae_lightning.errors import RunError

EVENTS = "events.out.tfevents*"
LONGEST_HEADER = 2**20  # bytes


def event_files(folder: Path) -> list[Path]:
    """List the run's TensorBoard event files, at most two folders deep (`<label of a sweep's job>/train/`)."""
    return sorted(path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}{EVENTS}"))


def flushed_size(path: Path) -> int:
    """Flush a file to the disk and return its size in bytes."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size


def read_header(path: Path) -> list[str]:
    """Return the columns of `metrics.csv`, as its first line names them; empty if the file is.

    Raises:
        RunError: it is another file, or is damaged: nobody could tell what a row means that is appended to it.
    """
    with path.open("rb") as file:
        line = file.readline(LONGEST_HEADER)
    columns = line.decode("utf-8", errors="replace").strip().split(",") if line else []
    if line and not {"kind", "epoch", "step"} <= set(columns):
        raise RunError(
            f"{path} is damaged (its first line does not name the columns kind, epoch and step): move it away, and resume again."
        )
    return columns


def truncate_logs(folder: Path, sizes: dict[str, int], finished: bool = False) -> list[str]:
    """Cut the log files back to their sizes at a checkpoint, since the rest will be written again.

    Files that were created later are deleted. Only log files in `folder` are touched, whatever `sizes` names.

    Args:
        folder: the run folder.
        sizes: of each file in bytes, by its path in the folder.
        finished: whether the run had finished; then what came after its last checkpoint is its results, which come again.

    Returns:
        Messages for the user: which files are missing or shorter than they were at the checkpoint, and which were deleted.
    """
    notes, later, shorter = list[str](), list[str](), list[str]()
    logs = {
        str(path.relative_to(folder)): path for path in (folder / "metrics.csv", *event_files(folder)) if lies_in(path, folder)
    }
    for name, path in logs.items():
        if name not in sizes:
            later.append(name)
            path.unlink(missing_ok=True)
        elif path.stat().st_size < sizes[name]:
            shorter.append(name)
        else:
            os.truncate(path, sizes[name])
    missing = [name for name in sizes if name not in logs and is_log(name)]
    if missing:
        verb = "is missing: its" if len(missing) == 1 else "are missing: their"
        notes.append(f"{shortened(missing)} {verb} content up to the checkpoint is lost.")
    if shorter:
        verb, its = ("is shorter than it was", "its") if len(shorter) == 1 else ("are shorter than they were", "their")
        notes.append(f"{shortened(shorter)} {verb} at the checkpoint: some of {its} rows are missing.")
    if later and not finished:
        notes.append(f"Removed logs that were started after the checkpoint and will be written again: {shortened(later)}.")
    return notes


def shortened(names: list[str]) -> str:
    """Join the first three names, and say how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def is_log(name: str) -> bool:
    """Whether a file of this name is a log of a run."""
    return name == "metrics.csv" or Path(name).match(EVENTS)


def lies_in(path: Path, folder: Path) -> bool:
    """Whether a path is an ordinary file at this place in the folder, rather than a link to one elsewhere."""
    place = os.path.join(os.path.realpath(folder), path.relative_to(folder))
    return path.is_file() and os.path.realpath(path) == place
