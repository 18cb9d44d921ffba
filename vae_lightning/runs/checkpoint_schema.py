"""What a checkpoint may hold, checked before any of it is used: plain data of known types, and tensors that fit their place.

`check_file` checks the file before torch reads it, `check_data` what torch read from it, `check_tensors` the weights, and
`check_resumable` what else a resume needs. What depends on the trainer (optimizer, schedules, callbacks) is checked in
`training/checkpoint_check.py`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from vae_lightning.errors import RunError, format_value, is_finite
from vae_lightning.memory import fits, format_bytes
from vae_lightning.readers import check_torch_file, one_reason

GB = 2**30
SIZE_LIMIT = 16 * GB  # bytes in a checkpoint: the weights and two moments of a billion parameters take 12 GB
DEEPEST, MOST_VALUES = 50, 2_000_000  # levels of containers, and values in them; random states have about 1,300 per process

Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e18)]


class SavedPosition(msgspec.Struct):
    """How far the run is in its data."""

    epoch: Count
    batch: Count
    layout: dict[str, float | None]
    resumable: bool


class Recorded(msgspec.Struct):
    """The state of the recorder."""

    shown: dict[str, float]
    history: dict[str, dict[str, float]]
    written: Tensor | None
    written_step: Count
    seconds: Amount


class RunningMeans(msgspec.Struct):
    """Names of metrics, the sum of each, and the number of images."""

    names: list[str]
    sums: list[float]


class RandomStates(msgspec.Struct):
    """The states of the random generators of one process."""

    python: tuple[int, list[int], float | None]
    numpy: tuple[str, list[Annotated[int, msgspec.Meta(ge=0, lt=2**32)]], Annotated[int, msgspec.Meta(ge=0, le=624)], int, float]
    torch: Tensor
    cuda: list[Tensor]


class Rank(msgspec.Struct):
    """What each process saves of its own."""

    means: RunningMeans
    random: RandomStates


class ParameterGroup(msgspec.Struct):
    """One of the optimizer's groups of parameters."""

    lr: Any  # a number, or a tensor of one
    params: list[Count]


class OptimizerState(msgspec.Struct):
    """The moments of each parameter, and the groups of parameters."""

    state: dict[Count, dict[str, Any]]
    param_groups: Annotated[list[ParameterGroup], msgspec.Meta(min_length=1)]


class Resumable(msgspec.Struct):
    """What a resume needs in addition to the weights."""

    epoch: Count
    global_step: Count
    position: SavedPosition
    recorder: Recorded
    images: Amount
    ranks: Annotated[list[Rank], msgspec.Meta(min_length=1)]
    files: Annotated[dict[str, Count], msgspec.Meta(max_length=10_000)]
    schedules: dict[str, dict[str, Any]]
    optimizer_states: Annotated[list[OptimizerState], msgspec.Meta(min_length=1)]
    lr_schedulers: list[dict[str, Any]]
    loops: dict[str, dict[str, Any]]
    callbacks: dict[str, dict[str, Any]] = {}


def damaged(path: Path, reason: str) -> RunError:
    """Return the error that names a checkpoint and what is wrong with it."""
    return RunError(f"{path} is damaged or was changed: {reason}; try another checkpoint in its folder.")


def check_file(path: Path) -> None:
    """Check the archive of a checkpoint before torch reads it.

    Raises:
        RunError: see `check_torch_file`; or it is larger than the free memory.
    """
    try:
        check_torch_file(path, SIZE_LIMIT)
    except RunError as error:
        raise RunError(f"{str(error).removesuffix('.')}: try another checkpoint in its folder.") from error
    size = path.stat().st_size
    if not fits(size):
        raise RunError(f"{path} has {format_bytes(size)}, which do not fit into the free memory: free some of it.")


def check_data(path: Path, content: object) -> None:
    """Check every value in a checkpoint, at any level.

    Raises:
        RunError: it is nested too deeply, holds too many values, or holds a tensor that is not an ordinary one: sparse or
            quantised, without data, or larger than the data it has.
    """
    waiting, count = [(content, 0)], 0
    while waiting:
        value, depth = waiting.pop()
        count += 1
        if depth > DEEPEST or count > MOST_VALUES:
            raise damaged(path, f"it has more than {DEEPEST} levels or {MOST_VALUES:,} values")
        if isinstance(value, Tensor):
            if not _is_ordinary(value):
                raise RunError(f"{path} is not a checkpoint of this framework: it holds a tensor of an unusual kind.")
        elif isinstance(value, Mapping):
            waiting.extend((part, depth + 1) for part in value.values())
        elif isinstance(value, list | tuple | set | frozenset):
            waiting.extend((part, depth + 1) for part in value)


def _is_ordinary(value: Tensor) -> bool:
    """Whether it is dense and has its own data: a stride of 0 would make a tensor of any size out of one number.

    A view that only marks its numbers as negated or conjugated is none: what reads the memory directly would miss the mark.
    """
    if value.layout != torch.strided or value.is_meta or value.is_quantized or value.is_nested or value.device.type != "cpu":
        return False
    if value.is_conj() or value.is_neg():
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def check_tensors(path: Path, found: Mapping[str, Any], expected: Mapping[str, Tensor]) -> None:
    """Compare weights and buffers with those that they are loaded into.

    Args:
        path: the checkpoint, for error messages.
        found: its tensors by name.
        expected: the model's tensors by name.

    Raises:
        RunError: one is missing or unknown, or has the wrong shape or type: torch would cast integers and complex numbers.
    """
    for name in [*expected, *found]:
        if name not in found or name not in expected:
            wrong = "is missing" if name in expected else "is unknown"
            raise RunError(f"{path} does not match the model that its config.yaml describes: {format_value(name)} {wrong}.")
        check_tensor(path, name, found[name], expected[name])


def check_tensor(path: Path, name: str, found: object, expected: Tensor) -> None:
    """Compare one tensor with the one that it is loaded into. Raise RunError if their shapes or types differ.

    Args:
        path: the checkpoint, for error messages.
        name: the name of the tensor.
        found: the value in the checkpoint.
        expected: the tensor that it is loaded into.
    """
    if not isinstance(found, Tensor):
        raise damaged(path, f"{format_value(name)} is not a tensor")
    if found.shape != expected.shape:
        raise RunError(
            f"{path} does not match the model that its config.yaml describes: {format_value(name)} has the shape "
            f"{tuple(found.shape)}, not {tuple(expected.shape)}."
        )
    if found.dtype != expected.dtype:
        raise damaged(path, f"{format_value(name)} has the type {found.dtype}, not {expected.dtype}".replace("torch.", ""))


def check_finite(path: Path, tensors: Mapping[str, Any]) -> None:
    """Raise RunError if one of the tensors holds NaN or infinity."""
    if not all(bool(torch.isfinite(v).all()) for v in tensors.values() if isinstance(v, Tensor) and v.is_floating_point()):
        raise RunError(f"{path} has weights that are not finite, since its training diverged: try the other checkpoint.")


def check_resumable(path: Path, content: Mapping[str, Any]) -> None:
    """Check what else than the weights a resume needs, as far as the checkpoint alone shows.

    Raises:
        RunError: a part is missing, has the wrong type, is out of range, or contradicts another part.
    """
    try:
        found = msgspec.convert(dict(content), Resumable)
    except (ValueError, RecursionError) as error:
        raise damaged(path, one_reason(error)) from error
    place, rank = found.position, found.ranks[0]
    if place.layout.get("processes") != len(found.ranks):
        raise damaged(path, f"it has the states of {len(found.ranks)} processes, not {place.layout.get('processes')}")
    if place.epoch != found.epoch and place.epoch != found.epoch + 1:
        raise damaged(path, f"position.epoch is {place.epoch}, but epoch is {found.epoch}")
    for group in (group for state in found.optimizer_states for group in state.param_groups):
        if not is_number(group.lr) or group.lr < 0:
            raise damaged(path, f"its learning rate is {format_value(str(group.lr))}")
    if any(not path_in_folder(name) for name in found.files):
        raise damaged(path, "files names a file outside the run folder")
    for each in found.ranks:
        sums = each.means.sums
        if each.means.names != rank.means.names or len(sums) != (len(each.means.names) + 1 if sums else 0):
            raise damaged(path, "its running means do not match their names")
        check_random_states(path, each.random)
    written = found.recorder.written
    if written is not None and (written.dtype != torch.float64 or written.shape != (len(rank.means.names) + 1,)):
        raise damaged(path, "recorder.written does not match the metrics")
    for name, state in found.callbacks.items():
        if not all(type(state.get(key, 0)) is int for key in ("wait_count", "patience")):
            raise damaged(path, f"callbacks.{format_value(name)} has counts that are not integers")
    if place.batch and not rank.means.sums:
        raise damaged(path, f"it has no running means after {place.batch} batches")


def is_number(value: object) -> bool:
    """Whether a value is a finite number; a tensor of one number counts, True does not."""
    if isinstance(value, Tensor):
        return value.numel() == 1 and value.is_floating_point() and bool(torch.isfinite(value).all())
    return isinstance(value, int | float) and not isinstance(value, bool) and is_finite(value)


def path_in_folder(name: str) -> bool:
    """Whether a name is a relative path without `..` or control characters."""
    path = Path(name)
    return bool(name) and name.isprintable() and not path.is_absolute() and ".." not in path.parts


def check_random_states(path: Path, states: RandomStates) -> None:
    """Raise RunError if a generator does not accept its saved state: each state is tried on a new generator."""
    try:
        version, words, gauss = states.python
        random.Random(0).setstate((version, tuple(words), gauss))
        kind, numpy_words, position, has_gauss, numpy_gauss = states.numpy
        np.random.RandomState(0).set_state((kind, np.array(numpy_words, dtype=np.uint32), position, has_gauss, numpy_gauss))
        torch.Generator().set_state(states.torch)
    except Exception as error:
        raise damaged(path, "a random state cannot be restored") from error
    if any(state.dtype != torch.uint8 or state.dim() != 1 or not 0 < len(state) <= 10_000 for state in states.cuda):
        raise damaged(path, "a random state of a GPU cannot be restored")
