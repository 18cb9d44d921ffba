"""Sums, lists and roles over the processes of a run."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from lightning.fabric.utilities.rank_zero import rank_zero_only
from torch import Tensor
from torch import distributed as dist

T = TypeVar("T")


def sum_over_ranks(values: Tensor, device: torch.device) -> Tensor:
    """Sum a float64 tensor on the host over all processes of the run."""
    if not several_processes():
        return values
    summed = values.to(device)
    dist.all_reduce(summed)
    return summed.cpu()


def gather_over_ranks(value: T) -> list[T]:
    """Return the values of all processes of the run, in the order of their ranks."""
    if not several_processes():
        return [value]
    values = cast(list[T], [None] * dist.get_world_size())
    dist.all_gather_object(values, value)
    return values


def several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def is_first_process() -> bool:
    """Whether this is the main process, also before the processes have connected to each other."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]  # set by Lightning
