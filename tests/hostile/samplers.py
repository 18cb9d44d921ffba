"""Files of samplers as a hostile person might send them, in a run whose configuration names that sampler."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.hostile.changes import Hostile, configured
from vae_lightning.config.builtin import option_node
from vae_lightning.config.plain import plain_dict
from vae_lightning.runs.folder import find_run
from vae_lightning.runs.samplers import attach_sampler

SAMPLERS: dict[str, Hostile] = {}


def with_sampler(run: Path, option: str) -> Path:
    """Name the sampler in the run's configuration, fit it, and return its file."""
    configured(run, "sampler", plain_dict(option_node("sampler", option)))
    configured(run, "choices.sampler", option)
    found = find_run(run)
    from vae_lightning.runs.folder import load_vae

    attach_sampler(found, load_vae(found))
    return run / "samplers" / f"{option}.pt"


def sampler(option: str, change: Callable[[dict[str, Any]], object]) -> Hostile:
    """Change the content of the file of a fitted sampler."""

    def make(run: Path, victim: Path) -> None:
        path = with_sampler(run, option)
        content = torch.load(path, weights_only=True)
        change(content)
        torch.save(content, path)

    return make


def _each(content: dict[str, Any], function: Callable[[torch.Tensor], Any]) -> None:
    content["tensors"] = {name: function(value) for name, value in content["tensors"].items()}


for _name, _option, _change in (
    ("tensors of another shape", "gmm", lambda c: _each(c, lambda t: torch.zeros(3))),
    ("tensors that are integers", "gmm", lambda c: _each(c, lambda t: t.int())),
    ("tensors that are not finite", "gmm", lambda c: _each(c, lambda t: t * float("nan"))),
    ("tensors of 1e38", "gmm", lambda c: _each(c, lambda t: t * 0 + 1e38)),
    ("tensors that are texts", "gmm", lambda c: _each(c, lambda t: "x")),
    ("tensors that are missing", "gmm", lambda c: c["tensors"].clear()),
    ("tensors that nobody asked for", "gmm", lambda c: c["tensors"].update(x=torch.zeros(2))),
    ("more components than asked for", "gmm", lambda c: c["tensors"].update(log_weights=torch.zeros(10**6))),
    ("endless codes made of one number", "kde", lambda c: c["tensors"].update(codes=torch.zeros(1).expand(2**40, 3))),
    ("codes of no rows", "kde", lambda c: c["tensors"].update(codes=torch.zeros(0, 3))),
    ("codes that are a number", "kde", lambda c: c["tensors"].update(codes=torch.zeros(()))),
    ("a found that is markup", "kde", lambda c: c.update(found="\x1b[31m[link=file:x]" * 10**5)),
    ("a model that is a number", "gmm", lambda c: c.update(model=3)),
    ("settings that are a list", "gmm", lambda c: c.update(settings=[1])),
    ("no tensors", "gmm", lambda c: c.pop("tensors")),
):
    SAMPLERS[_name] = sampler(_option, _change)


def _file(write: Callable[[Path], object]) -> Hostile:
    def make(run: Path, victim: Path) -> None:
        path = with_sampler(run, "gmm")
        path.unlink()
        write(path)

    return make


class _Opened:
    """A pickle that would write a file."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


SAMPLERS["a file that is empty"] = _file(lambda path: path.write_bytes(b""))
SAMPLERS["a file that is a list"] = _file(lambda path: torch.save([1], path))
SAMPLERS["a FIFO"] = _file(os.mkfifo)
SAMPLERS["a folder"] = _file(Path.mkdir)
SAMPLERS["a pickle that runs code"] = _file(lambda path: torch.save({"x": _Opened()}, path))
