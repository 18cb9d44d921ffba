"""The software versions, git commit and hardware that a run is made with, for `results.json`."""

from __future__ import annotations

import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from vae_lightning.version import __version__

CPU_INFO = Path("/proc/cpuinfo")


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of the libraries that a result depends on."""
    # this package may run from its source without being installed
    packages = ("torch", "lightning", "hydra-core", "numpy")
    return {"python": platform.python_version(), "vae-lightning": __version__, **{name: version(name) for name in packages}}


def git_commit() -> str | None:
    """Return the commit of the source that ran, with `+` if the source was changed since; None outside a repository."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def hardware(device: torch.device) -> str:
    """Return the GPU's name, or the processor's name and the number of threads that torch uses: `AMD EPYC, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'' if threads == 1 else 's'}"


def processor() -> str:
    """Return the processor's name if Linux reports one, else its architecture (`arm64`)."""
    found = re.search(r"^model name\s*:\s*(.+)$", CPU_INFO.read_text(encoding="utf-8"), re.M) if CPU_INFO.exists() else None
    return found[1].strip() if found else platform.machine() or "CPU"
