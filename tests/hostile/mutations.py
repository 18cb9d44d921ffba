"""Small damages to the files of a run or a sweep, drawn by hypothesis: cut, repeated, swapped, a key dropped or changed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]

DEEP: Any = "x"
for _ in range(60):
    DEEP = [DEEP]
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 3, 10**30, 0.5, -1e308, float("nan"), float("inf"), "", "text", "\x1b[31m", "../outside", "a\nb",
    "${oc.env:HOME}", "9" * 400, [], [[]], {}, {"a": 1}, [1, "a", None], {"_target_": "os.getcwd"}, DEEP,
)  # fmt: skip


def damage(path: Path, others: list[Path], draw: Draw) -> str:
    """Damages the file in one way; says how."""
    text = path.suffix in (".json", ".yaml")
    ways = [
        *RAW,
        *(["value", "value", "value", "drop", "drop", "nest", "repeat"] if text or path.suffix in (".ckpt", ".npz") else []),
    ]
    way = draw(st.sampled_from(ways))
    if way in RAW:
        RAW[way](path, others, draw)
        return f"{path.name}: {way}"
    content = _read(path)
    place = _change(content, way, draw)
    _write(path, content)
    return f"{path.name}: {way} {place}"


# -------------------------------------------------------------------- any file


def _cut(path: Path, others: list[Path], draw: Draw) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw(st.integers(0, max(0, len(content) - 1)))])


def _twice(path: Path, others: list[Path], draw: Draw) -> None:
    path.write_bytes(path.read_bytes() * 2)


def _flip(path: Path, others: list[Path], draw: Draw) -> None:
    content = bytearray(path.read_bytes() or b"x")
    for _ in range(draw(st.integers(1, 8))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    path.write_bytes(bytes(content))


def _swap(path: Path, others: list[Path], draw: Draw) -> None:
    shutil.copyfile(draw(st.sampled_from(others)), path)


def _special(path: Path, others: list[Path], draw: Draw) -> None:
    path.unlink()
    kind = draw(st.sampled_from(["gone", "folder", "fifo", "device", "loop"]))
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind in ("device", "loop"):
        path.symlink_to("/dev/zero" if kind == "device" else path)


RAW = {"cut": _cut, "twice": _twice, "flip": _flip, "swap": _swap, "special": _special}


# -------------------------------------------------------------------- a file of data


def _read(path: Path) -> Any:
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".yaml":
        return yaml.safe_load(path.read_text())
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return dict(arrays)
    return torch.load(path, weights_only=True)


def _write(path: Path, content: Any) -> None:
    if path.suffix == ".json":
        path.write_text(json.dumps(content))
    elif path.suffix == ".yaml":
        path.write_text(yaml.safe_dump(content))
    elif path.suffix == ".npz":
        with path.open("wb") as file:
            np.savez(file, **{name: np.asarray(value) for name, value in content.items() if not isinstance(value, dict | list)})  # type: ignore[arg-type]
    else:
        torch.save(content, path)


def _places(content: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    found = []
    for key, value in pairs:
        found += [(*above, key), *_places(value, (*above, key))]
    return found


def _change(content: Any, way: str, draw: Draw) -> str:
    place = draw(st.sampled_from(_places(content)))
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    last, old = place[-1], holder[place[-1]]
    if way == "drop":
        del holder[last]
    elif way == "nest":
        holder[last] = draw(st.sampled_from([[old], {"a": old}]))
    elif way == "repeat":
        holder[last] = [old] * 3 if not isinstance(old, list) else old * 3
    else:
        holder[last] = _odd(old, draw)
    return ".".join(map(str, place))


def _odd(old: Any, draw: Draw) -> Any:
    if isinstance(old, np.ndarray):
        choices = [old.astype(np.float64), old.astype("U4"), old[None], old.ravel()[:0], np.array(3), old * 0 - 1]
        return choices[draw(st.integers(0, len(choices) - 1))]
    if isinstance(old, torch.Tensor):
        tensors = [old[None], old.flatten()[:0], old.to(torch.complex64), old.to(torch.int8), old.double() * float("nan")]
        return tensors[draw(st.integers(0, len(tensors) - 1))]
    return draw(st.sampled_from(ODD))
