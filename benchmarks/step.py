"""Where the time of a training step goes, in microseconds: `python benchmarks/step.py --data ../shared/data`.

Runs the bare loop and the framework of `throughput.py` in turn. Each round gives the medians over the steps of the second epoch.
The fastest round counts, since another program can only slow a step down.

- batch: up to the pixels as floats;
- forward: from the pixels to the loss;
- backward: from the loss to the gradients;
- optimizer: the update of the weights;
- rest: everything between, which is mostly Lightning's loop.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import throughput
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from vae_lightning.data.images import Batch
from vae_lightning.training.module import VAEModule

PARTS = ("batch", "forward", "backward", "optimizer", "rest")


class Stopwatch:
    """`lap(part)` adds the time since the last lap to a part of the step; `step()` ends a step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, float]] = []
        self.begin()

    def begin(self) -> None:
        self.now, self.parts = time.perf_counter(), dict.fromkeys(PARTS, 0.0)

    def lap(self, part: str) -> None:
        now = time.perf_counter()
        self.parts[part] += now - self.now
        self.now = now

    def step(self) -> None:
        self.lap("rest")
        self.steps.append(self.parts)
        self.parts = dict.fromkeys(PARTS, 0.0)

    def medians(self) -> dict[str, float]:
        """The medians over the second half of the steps, in µs."""
        steps = self.steps[len(self.steps) // 2 :]
        return {part: 1e6 * statistics.median(step[part] for step in steps) for part in PARTS}


def around(owner: Any, name: str, before: Callable[[], None], after: Callable[[], None]) -> Any:
    """Patches `owner.name` so that `before` and `after` are called around it."""
    function = getattr(owner, name)

    def timed(*args: Any, **kwargs: Any) -> Any:
        before()
        value = function(*args, **kwargs)
        after()
        return value

    return patch.object(owner, name, timed)


@contextmanager
def stopped_by(watch: Stopwatch) -> Iterator[None]:
    """Times the framework's steps where one part ends and the next begins."""

    def lap(part: str) -> Callable[[], None]:
        return lambda: watch.lap(part)

    with (
        around(Batch, "to", lap("batch"), lap("batch")),
        around(torch.optim.Adam, "step", watch.step, lap("optimizer")),  # begins the step, in its closure
        around(VAEModule, "training_pixels", lap("forward"), lap("batch")),
        around(VAEModule, "training_step", lap("rest"), lap("forward")),
        around(Tensor, "backward", lap("rest"), lap("backward")),
    ):
        yield


def bare(root: Path, images: int, precision: str) -> dict[str, float]:
    x = throughput.preloaded(root, images)
    model, watch = throughput.PlainVAE(), Stopwatch()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    for _ in range(2):
        places = torch.randperm(images).split(throughput.BATCH)
        watch.begin()
        for place in places:
            batch = x[place]
            watch.lap("batch")
            with throughput.autocast(precision):
                loss = model.loss(batch)
            watch.lap("forward")
            optimizer.zero_grad()
            watch.lap("rest")
            loss.backward()
            watch.lap("backward")
            optimizer.step()
            watch.lap("optimizer")
            watch.step()
    return watch.medians()


def framework(root: Path, images: int, precision: str) -> dict[str, float]:
    watch = Stopwatch()
    with stopped_by(watch):
        throughput.framework(root, images, precision)
    return watch.medians()


def measure(root: Path, images: int, rounds: int, precision: str) -> dict[str, dict[str, float]]:
    """Return the times of the fastest round, by contestant and part."""
    found: dict[str, list[dict[str, float]]] = {"bare": [], "framework": []}
    for number in range(rounds + 1):  # the first one warms up
        for name, contestant in (("bare", bare), ("framework", framework)):
            parts = throughput.quietly(lambda contestant=contestant: contestant(root, images, precision))  # type: ignore[misc]
            if number:
                found[name].append(parts)
    return {name: min(measured, key=lambda parts: sum(parts.values())) for name, measured in found.items()}


def table(found: dict[str, dict[str, dict[str, float]]]) -> Table:
    shown = Table(title="microseconds of a training step", title_justify="left")
    shown.add_column("")
    for part in (*PARTS, "step"):
        shown.add_column(part, justify="right")
    for precision, contestants in found.items():
        for name, parts in contestants.items():
            shown.add_row(f"{precision} {name}", *(f"{value:,.0f}" for value in (*parts.values(), sum(parts.values()))))
        shown.add_section()
    return shown


def main() -> None:
    arguments = throughput.parser_of(__doc__, rounds=6).parse_args()
    console = Console()
    console.print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {throughput.BATCH}")
    root = arguments.data.absolute()
    console.print(table({p: measure(root, arguments.images, arguments.rounds, p) for p in throughput.PRECISIONS}))


if __name__ == "__main__":
    main()
