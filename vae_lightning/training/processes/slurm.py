"""Remembers a SLURM job's run folder: SLURM restarts a requeued job with the same command, which then resumes that run."""

from __future__ import annotations

import os
from pathlib import Path

from vae_lightning.files import write_text


def note_job(output_dir: Path, folder: Path) -> None:
    """Under SLURM, write `folder` to `<output_dir>/.slurm/<job id>`."""
    note = _note(output_dir)
    if note is not None:
        note.parent.mkdir(parents=True, exist_ok=True)
        write_text(note, f"{folder}\n")


def requeued_run(output_dir: Path) -> Path | None:
    """Return the run folder of this job before SLURM restarted it; None if it was not restarted or has no checkpoint."""
    note = _note(output_dir)
    restarts = os.environ.get("SLURM_RESTART_COUNT", "")
    if note is None or not restarts.isdecimal() or int(restarts) == 0 or not note.exists():
        return None
    folder = Path(note.read_text(encoding="utf-8").strip())
    return folder if any(folder.glob("checkpoints/*.ckpt")) else None


def _note(output_dir: Path) -> Path | None:
    job = os.environ.get("SLURM_JOB_ID", "")
    return output_dir / ".slurm" / job if job.isdecimal() else None
