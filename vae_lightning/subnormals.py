"""Subnormal floats, which processors are slow at, are treated as zero while a command trains or evaluates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

BITS = 2**16  # of the float32 number 2^-133, which is below the smallest normal one, 2^-126 ≈ 1.2e-38


@contextmanager
def flush_subnormals() -> Iterator[None]:
    """Treat float32 numbers below 1.2e-38 as zero in this block; afterwards as before.

    The weights of importance-weighted bounds underflow to such numbers, and with them a product of matrices can take a hundred
    times as long. The setting belongs to a thread. A new thread inherits it, so that torch's pool of threads has it too if the
    pool is first used in this block; a pool that exists already keeps its own.

    torch is imported on entering the block.
    """
    import torch

    before = flushes_subnormals()
    torch.set_flush_denormal(True)  # false, and without effect, on a processor that cannot
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def flushes_subnormals() -> bool:
    """Whether the calling thread treats subnormal numbers as zero."""
    import torch

    number = torch.tensor([BITS], dtype=torch.int32).view(torch.float32)
    return (number * 1).view(torch.int32).item() == 0
