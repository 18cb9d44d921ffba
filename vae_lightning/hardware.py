"""On what a run was made."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch

CPU_FACTS = Path("/proc/cpuinfo")


def hardware(device: torch.device) -> str:
    """The GPU's name, or the processor's and how many threads torch uses of it: `Intel Xeon, 2 threads`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{processor()}, {threads} thread{'' if threads == 1 else 's'}"


def processor() -> str:
    """Its name where Linux gives one, else its kind (`arm64`)."""
    found = re.search(r"^model name\s*:\s*(.+)$", CPU_FACTS.read_text(encoding="utf-8"), re.M) if CPU_FACTS.exists() else None
    return found[1].strip() if found else platform.machine() or "CPU"
