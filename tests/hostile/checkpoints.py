"""Checkpoints as a hostile person might send them."""

from __future__ import annotations

import copy
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.hostile.archives import archive
from tests.hostile.changes import PRECIOUS, Hostile

CHECKPOINTS: dict[str, Hostile] = {}


def checkpoint(change: Callable[[dict[str, Any], Path], Any]) -> Hostile:
    """Change the content of both checkpoints of the run, and write them again."""

    def make(run: Path, victim: Path) -> None:
        for path in (run / "checkpoints").glob("*.ckpt"):
            content = torch.load(path, weights_only=True)
            change(content, victim)
            torch.save(content, path)

    return make


def _weights(content: dict[str, Any], function: Callable[[torch.Tensor], torch.Tensor]) -> None:
    content["state_dict"] = {
        name: function(value) if value.is_floating_point() else value for name, value in content["state_dict"].items()
    }


def _moments(content: dict[str, Any], function: Callable[[torch.Tensor], Any]) -> None:
    for state in content["optimizer_states"][0]["state"].values():
        for name in list(state):
            if name != "step":
                state[name] = function(state[name])


def _set(content: dict[str, Any], *path: Any) -> None:
    *keys, last, value = path
    node: Any = content
    for key in keys:
        node = node[key]
    node[last] = value


def _states(content: dict[str, Any]) -> list[dict[str, Any]]:
    return list(content["optimizer_states"][0]["state"].values())


def _transposed(moment: torch.Tensor) -> torch.Tensor:
    return moment.t().contiguous().t() if moment.dim() == 2 else moment


def _beyond_its_memory(moment: torch.Tensor) -> torch.Tensor:
    """All rows at the end of its memory: an update that does not look at the strides writes behind it."""
    if moment.dim() != 2:
        return moment
    return torch.zeros(moment.numel()).as_strided(tuple(moment.shape), (1, 0), moment.numel() - moment.shape[0])


def _one_memory(content: dict[str, Any]) -> None:
    for state in _states(content):
        state["exp_avg_sq"] = state["exp_avg"]


def _one_counter(content: dict[str, Any]) -> None:
    for state in _states(content):
        state["step"] = _states(content)[0]["step"]


def _in_one_buffer(content: dict[str, Any]) -> None:
    """Moments of different parameters that are parts of one tensor."""
    buffer, place = torch.zeros(sum(state["exp_avg"].numel() for state in _states(content))), 0
    for state in _states(content):
        size = state["exp_avg"].numel()
        state["exp_avg"] = buffer[place : place + size].view(state["exp_avg"].shape)
        place += size


def _in_itself() -> list[Any]:
    content: list[Any] = []
    content.append(content)
    return content


for _name, _change in (
    ("moments of another shape", lambda c, v: _moments(c, lambda m: torch.zeros(3))),
    ("moments of another type", lambda c, v: _moments(c, lambda m: m.to(torch.int64))),
    ("moments that are no tensors", lambda c, v: _moments(c, lambda m: "x")),
    ("moments that are not finite", lambda c, v: _moments(c, lambda m: m * float("nan"))),
    ("no optimizer states", lambda c, v: _set(c, "optimizer_states", [])),
    ("an empty optimizer state", lambda c, v: _set(c, "optimizer_states", 0, "state", {})),
    ("other parameter groups", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", [])),
    ("a learning rate that is a text", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "lr", "x")),
    ("weights that are integers", lambda c, v: _weights(c, lambda w: w.to(torch.int32))),
    ("weights that are complex", lambda c, v: _weights(c, lambda w: w.to(torch.complex64))),
    ("weights in half precision", lambda c, v: _weights(c, lambda w: w.half())),
    ("weights of another shape", lambda c, v: _weights(c, lambda w: w.flatten()[:1])),
    ("weights of 1e38", lambda c, v: _weights(c, lambda w: w * 0 + 1e38)),
    ("weights that are missing", lambda c, v: c["state_dict"].popitem()),
    ("weights that nobody asked for", lambda c, v: _set(c, "state_dict", "vae.x", torch.zeros(2))),
    ("files of the victim's", lambda c, v: _set(c, "files", {str(v / PRECIOUS): 0, f"../victim/{PRECIOUS}": 0})),
    ("files without end", lambda c, v: _set(c, "files", {f"x{i}/events.out.tfevents.{i}": 1 for i in range(100_000)})),
    ("many files that are missing", lambda c, v: _set(c, "files", {f"x{i}/events.out.tfevents.{i}": 1 for i in range(5000)})),
    ("files whose names are markup", lambda c, v: _set(c, "files", {"events.out.tfevents.[link=file:x] [/nope]": 1})),
    ("files that are no sizes", lambda c, v: _set(c, "files", {"metrics.csv": "x"})),
    ("files with negative sizes", lambda c, v: _set(c, "files", {"metrics.csv": -1})),
    ("no files", lambda c, v: _set(c, "files", {})),
    ("a position before the beginning", lambda c, v: _set(c, "position", "epoch", -3)),
    ("a position that is a text", lambda c, v: _set(c, "position", "batch", "x")),
    ("no ranks", lambda c, v: _set(c, "ranks", [])),
    ("a random state of another size", lambda c, v: _set(c, "ranks", 0, "random", "torch", torch.zeros(3, dtype=torch.uint8))),
    ("a random state that is a text", lambda c, v: _set(c, "ranks", 0, "random", "python", "x")),
    ("a NumPy state of another kind", lambda c, v: _set(c, "ranks", 0, "random", "numpy", [1, 2])),
    ("a recorder of another kind", lambda c, v: _set(c, "recorder", [])),
    ("schedules that are gone", lambda c, v: _set(c, "schedules", {})),
    ("callbacks of another kind", lambda c, v: _set(c, "callbacks", {"best": 3, "last": None})),
    ("loops of another kind", lambda c, v: _set(c, "loops", {})),
    ("a global step that is a text", lambda c, v: _set(c, "global_step", "x")),
    ("a NumPy state that reads beyond its end", lambda c, v: _set(c, "ranks", 0, "random", "numpy", 2, 10**6)),
    ("an endless weight made of one number", lambda c, v: _set(c, "state_dict", "vae.x", torch.zeros(1).expand(2**40))),
    ("an endless moment made of one number", lambda c, v: _moments(c, lambda m: torch.zeros(1).expand(2**40))),
    ("moments of another precision", lambda c, v: _moments(c, lambda m: m.double())),
    ("moments that are sparse", lambda c, v: _moments(c, lambda m: m.to_sparse())),
    ("moments that are transposed", lambda c, v: _moments(c, _transposed)),
    ("moments at the end of their memory", lambda c, v: _moments(c, _beyond_its_memory)),
    ("moments of rows in the same place", lambda c, v: _moments(c, lambda m: m.flatten()[: m.shape[-1]].expand(m.shape))),
    ("moments that are negated", lambda c, v: _moments(c, torch._neg_view)),
    ("moments that are parameters", lambda c, v: _moments(c, torch.nn.Parameter)),
    ("two moments in one memory", lambda c, v: _one_memory(c)),
    ("all moments in one memory", lambda c, v: _in_one_buffer(c)),
    ("one counter of steps for all parameters", lambda c, v: _one_counter(c)),
    ("a moment too many", lambda c, v: _set(c, "optimizer_states", 0, "state", 99, {"exp_avg": torch.zeros(2)})),
    ("a moment of another name", lambda c, v: _states(c)[0].update(x=_states(c)[0].pop("exp_avg"))),
    ("betas that are three", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "betas", (0.9, 0.9, 0.9))),
    ("an optimizer that maximises", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "maximize", True)),
    ("parameters in another order", lambda c, v: c["optimizer_states"][0]["param_groups"][0]["params"].reverse()),
    ("a learning rate that is negative", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "lr", -1.0)),
    ("a learning rate beyond all floats", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "lr", 10**400)),
    ("a learning rate that is infinite", lambda c, v: _set(c, "optimizer_states", 0, "param_groups", 0, "lr", float("inf"))),
    ("a global step beyond 64 bits", lambda c, v: _set(c, "global_step", 10**5000)),
    ("a global step of another run", lambda c, v: _set(c, "global_step", 10**6)),
    ("a position far ahead", lambda c, v: c.update(epoch=10**9, position={**c["position"], "epoch": 10**9})),
    ("a layout without processes", lambda c, v: _set(c, "position", "layout", {})),
    ("a data position of another kind", lambda c, v: _set(c, "VAEDataModule", {"x": 1})),
    ("progress that is negative", lambda c, v: _set(c, "loops", "fit_loop", "epoch_progress", "current", "ready", -5)),
    ("progress that is a text", lambda c, v: _set(c, "loops", "fit_loop", "epoch_progress", "x")),
    ("a version that is none", lambda c, v: _set(c, "pytorch-lightning_version", "x" * 100)),
    ("no version", lambda c, v: c.pop("pytorch-lightning_version")),
    ("a schedule of no length", lambda c, v: _set(c, "schedules", "beta", "steps_per_unit", 0)),
    ("learning rate schedules that nobody has", lambda c, v: _set(c, "lr_schedulers", [{"optimizer": 1}])),
    ("a best score that is a list", lambda c, v: _set(c, "callbacks", "best", "best", [1])),
    ("early stopping that counts in texts", lambda c, v: _set(c, "callbacks", "x", {"wait_count": "1", "patience": 3})),
    ("images that are no number", lambda c, v: _set(c, "images", "x")),
    ("a history of texts", lambda c, v: _set(c, "recorder", "history", {"val": {"elbo": "<script>"}})),
    ("seconds without end", lambda c, v: _set(c, "recorder", "seconds", float("inf"))),
    ("images without end", lambda c, v: _set(c, "images", float("inf"))),
    ("seconds that are negative", lambda c, v: _set(c, "recorder", "seconds", -1.0)),
    ("weights that are texts", lambda c, v: _set(c, "state_dict", dict.fromkeys(c["state_dict"], "x"))),
    ("weights of eight bits", lambda c, v: _weights(c, lambda w: w.to(torch.float8_e4m3fn))),
    ("weights that are not finite", lambda c, v: _weights(c, lambda w: w * float("nan"))),
    ("a million values", lambda c, v: _set(c, "recorder", "shown", {str(i): [0.0] * 100 for i in range(30_000)})),
    ("a list in itself", lambda c, v: _set(c, "extra", _in_itself())),
    ("a list that is a list", lambda c, v: _set(c, "state_dict", [])),
    ("a deep nest", lambda c, v: _set(c, "recorder", {"a": json.loads("[" * 300 + "]" * 300)})),
):
    CHECKPOINTS[_name] = checkpoint(_change)


def _compressed(path: Path) -> None:
    with zipfile.ZipFile(path) as old:
        parts = {part.filename: old.read(part) for part in old.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in parts.items():
            new.writestr(name, content)
        new.writestr("archive/data/bomb", bytes(100 * 2**20))


def _overlapping(path: Path) -> None:
    """Many names for the same bytes."""
    with zipfile.ZipFile(path, "a") as file:
        whole = max(file.infolist(), key=lambda part: part.file_size)
        for i in range(50):
            part = copy.copy(whole)
            part.filename = f"archive/data/x{i}"
            file.filelist.append(part)
        file._didModify = True  # type: ignore[attr-defined]


def _huge(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(40 * 2**30)  # a sparse file


CHECKPOINTS["a compressed archive"] = archive(_compressed)
CHECKPOINTS["an archive whose parts overlap"] = archive(_overlapping)
CHECKPOINTS["forty gigabytes of nothing"] = archive(_huge)
CHECKPOINTS["an empty file"] = archive(lambda path: path.write_bytes(b""))
CHECKPOINTS["a pickle without an archive"] = archive(
    lambda path: torch.save(torch.load(path, weights_only=True), path, _use_new_zipfile_serialization=False)
)
CHECKPOINTS["an archive of something else"] = archive(lambda path: zipfile.ZipFile(path, "w").close())
