"""The log files of a run, `metrics.csv` and TensorBoard's event files: their sizes at a checkpoint, truncated on a resume."""

from __future__ import annotations

import os
from pathlib import Path

EVENTS = "events.out.tfevents*"


def event_files(folder: Path) -> list[Path]:
    """TensorBoard's event files of a run, at most two folders deep: in `train/` and `val/`, below the label of a sweep's job."""
    return sorted(path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}{EVENTS}"))


def flushed_size(path: Path) -> int:
    """The size of a file in bytes, once all of them are on the disk."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())
    return path.stat().st_size


def truncate_logs(folder: Path, sizes: dict[str, int]) -> list[str]:
    """Cuts the log files back to their sizes at a checkpoint, since the rest will be written again.

    Files that were created later are deleted. Only files in `folder` are touched, whatever `sizes` names.

    Returns:
        The names of the files that are shorter than they were at the checkpoint.
    """
    short = []
    for path in [folder / "metrics.csv", *event_files(folder)]:
        name = str(path.relative_to(folder))
        if name in sizes:
            if not path.exists() or path.stat().st_size < sizes[name]:
                short.append(name)
            else:
                os.truncate(path, sizes[name])
        else:
            path.unlink(missing_ok=True)
    return short
