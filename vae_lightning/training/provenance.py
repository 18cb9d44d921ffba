"""With what software and on what hardware a run was made."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from vae_lightning.version import __version__

CPU_FACTS = Path("/proc/cpuinfo")


def versions() -> dict[str, str]:
    """Of Python, of this package (which may run from its source, not installed) and of those that a result depends on."""
    packages = ("torch", "lightning", "hydra-core", "numpy")
    return {"python": platform.python_version(), "vae-lightning": __version__, **{name: version(name) for name in packages}}


def git_commit() -> str | None:
    """The commit of the source that ran, with `+` where it was changed since; None outside of a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware(device: torch.device) -> str:
    """The GPU's name, or the processor's and how many threads torch uses of it: `AMD EPYC, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'' if threads == 1 else 's'}"


def processor() -> str:
    """Its name where Linux gives one, else its kind (`arm64`)."""
    found = re.search(r"^model name\s*:\s*(.+)$", CPU_FACTS.read_text(encoding="utf-8"), re.M) if CPU_FACTS.exists() else None
    return found[1].strip() if found else platform.machine() or "CPU"
