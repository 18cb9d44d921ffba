"""How much memory is free, and whether something fits into it. Imports no torch."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def free_memory() -> int | None:
    """Return the bytes that programs can still use, including swap; None if the system does not say."""
    with suppress(OSError, ValueError, IndexError):
        lines = (line.split() for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
        sizes = {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines}
        if "MemAvailable" in sizes:
            return sizes["MemAvailable"] + sizes.get("SwapFree", 0)
    with suppress(OSError, ValueError, AttributeError):  # the size of the whole memory is better than no limit
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def format_bytes(size: int) -> str:
    """Format a number of bytes in GB, or in TB from 1,000 GB on."""
    return f"{size / 1e12:,.1f} TB" if size >= 1e12 else f"{size / 1e9:,.1f} GB"


def fits(size: int) -> bool:
    """Whether so many bytes fit into the free memory; True if the system does not say how much that is."""
    free = free_memory()
    return free is None or size <= free
