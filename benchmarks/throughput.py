"""Compares training speed in images/s: `python benchmarks/throughput.py --data ../shared/data --json throughput.json`.

MLP 784-400-20, batch 128, Adam, MNIST, in float32 and in bf16-mixed. All contestants run in turn in one process, round after
round. Each speed is the median over rounds; each ratio is the median of the rounds' ratios, since machines drift, with a 95 %
interval from 2,000 bootstrap samples of the rounds. Each round trains two epochs and times the second, without validation.

- bare: a PyTorch loop over preloaded float tensors, with the same network, fused Adam and the same precision;
- framework: this package as a user runs it, with TensorBoard, metrics.csv and progress bar, and grey pixels like the others;
- framework_dynamic: the same with dynamic binarisation;
- framework_compiled: framework with compile=default;
- torchvision: torchvision's MNIST and `ToTensor` through a DataLoader in a plain loop, like PyTorch's own VAE example;
- pythae: pythae 0.1.2 with the same network (`pip install 'vae-lightning[bench]'`; left out if it is not installed).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.plain import plain_dict
from vae_lightning.data.mnist import MNIST
from vae_lightning.training import build
from vae_lightning.training.overhead import low_overhead

T = TypeVar("T")
BATCH, HIDDEN, LATENT = 128, 400, 20
PRECISIONS = {"float32": "32-true", "bf16": "bf16-mixed"}
# the aims: framework over …, by precision
TARGETS = {
    "bare": {"float32": 0.75, "bf16": 0.75},
    "torchvision": {"float32": 1.6, "bf16": 2.2},
    "pythae": {"float32": 1.6, "bf16": 2.2},
}


class PlainVAE(nn.Module):
    """The network of all contestants, written as in PyTorch's example."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 784))

    def loss(self, x: Tensor) -> Tensor:
        mean, log_variance = self.encoder(x).chunk(2, -1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (reconstruction + kl) / len(x)


def autocast(precision: str) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def plain_epochs(batches: Callable[[], Iterator[Tensor]], images: int, precision: str, fused: bool) -> float:
    """images/s of the second of two epochs of a plain loop."""
    model = PlainVAE()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)
    for _ in range(2):
        start = time.perf_counter()
        for x in batches():
            with autocast(precision):
                loss = model.loss(x)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - start
    return images / seconds


def bare(root: Path, images: int, precision: str) -> float:
    x = preloaded(root, images)
    return plain_epochs(lambda: (x[i] for i in torch.randperm(images).split(BATCH)), images, precision, fused=True)


def torchvision_loader(root: Path, images: int, precision: str) -> float:
    from torchvision import datasets, transforms

    data = torch.utils.data.Subset(datasets.MNIST(str(root), transform=transforms.ToTensor()), range(images))
    loader = torch.utils.data.DataLoader(data, batch_size=BATCH, shuffle=True)
    return plain_epochs(lambda: (x.view(-1, 784) for x, _ in loader), images, precision, fused=False)


def framework(root: Path, images: int, precision: str, *more: str) -> float:
    """images/s of the second of two epochs of what `python train.py …` runs after composing its configuration."""
    overrides = [
        "data=mnist", f"data.root='{root}'", f"data.val_size={60000 - images}", "data.binarize=none",
        f"data.batch_size={BATCH}", f"model.hidden=[{HIDDEN}]", "model.activation=relu", f"latent_dim={LATENT}",
        "optimizer.lr=0.001", "lr_schedule=none", "trainer=cpu", f"trainer.precision={PRECISIONS[precision]}",
        "trainer.max_epochs=2", "trainer.limit_val_batches=0", "~callbacks.pictures", "~callbacks.best", "name=bench", *more,
    ]  # fmt: skip
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", overrides, return_hydra_config=True)
    whole = plain_dict(config.copy(), resolve=False)
    choices = dict(config.hydra.runtime.choices)
    del whole["hydra"]
    resolved = DictConfig(plain_dict(DictConfig(whole)))
    resolved.choices, resolved.overrides = {k: v for k, v in choices.items() if "/" not in k}, []
    with tempfile.TemporaryDirectory() as folder, splits_loaded_once(root, images):
        module, data = build.assemble(resolved)
        trainer = build.make_trainer(resolved, Path(folder))
        with low_overhead():
            trainer.fit(module, datamodule=data)
        return module.recorder.history["train"]["images_per_second"]


_CACHE: dict[tuple[str, int], Any] = {}


@contextlib.contextmanager
def splits_loaded_once(root: Path, images: int) -> Iterator[None]:
    """Shares the loaded data between rounds: loading is not measured."""
    load = MNIST.load

    def cached(self: MNIST) -> Any:
        if (str(root), images) not in _CACHE:
            _CACHE[str(root), images] = load(self)
        return _CACHE[str(root), images]

    MNIST.load = cached  # type: ignore[method-assign]
    try:
        yield
    finally:
        MNIST.load = load  # type: ignore[method-assign]


def preloaded(root: Path, images: int) -> Tensor:
    """Float images (images, 784) in [0, 1], ready in memory."""
    if ("plain", images) not in _CACHE:
        data = MNIST(str(root), val_size=60000 - images)
        _CACHE["plain", images] = data.splits()["train"].images.float().div(255).view(-1, 784)
    return _CACHE["plain", images]


def pythae(root: Path, images: int, precision: str) -> float:
    from with_pythae import seconds_of_second_epoch  # an extra

    network = PlainVAE()
    with autocast(precision):
        return images / seconds_of_second_epoch(preloaded(root, images), network.encoder, network.decoder, LATENT, BATCH)


CONTESTANTS: dict[str, Callable[[Path, int, str], float]] = {
    "bare": bare,
    "framework": framework,
    "framework_dynamic": lambda root, images, precision: framework(root, images, precision, "data.binarize=dynamic"),
    "framework_compiled": lambda root, images, precision: framework(root, images, precision, "compile=default"),
    "torchvision": torchvision_loader,
    "pythae": pythae,
}


def quietly(contestant: Callable[[], T]) -> T:
    """Runs a contestant without its output, and without the slow search for GPUs that importing Lightning turns on.

    A plain loop would not have that search, and the framework turns it off for its own training.
    """
    os.environ.pop("PYTORCH_NVML_BASED_CUDA_CHECK", None)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return contestant()


def measure(root: Path, images: int, rounds: int, only: Sequence[str], console: Console) -> dict[str, dict[str, list[float]]]:
    names = [name for name in CONTESTANTS if name in only and (name != "pythae" or installed("pythae"))]
    found: dict[str, dict[str, list[float]]] = {p: {name: [] for name in names} for p in PRECISIONS}
    for number in range(rounds + 1):  # the first round warms up
        for precision in PRECISIONS:
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:  # each comes first in some rounds
                speed = quietly(lambda name=name, precision=precision: CONTESTANTS[name](root, images, precision))  # type: ignore[misc]
                if number:
                    found[precision][name].append(speed)
        console.print(f"round {number} of {rounds}" + (" (warm-up, not counted)" if number == 0 else ""), style="dim")
    return found


def installed(name: str) -> bool:
    from importlib.util import find_spec

    return find_spec(name) is not None


def ratio(speeds: dict[str, list[float]], other: str) -> str:
    """`0.91 (0.88 – 0.92)`: framework ÷ other, with the 95 % interval of the median."""
    ratios = [a / b for a, b in zip(speeds["framework"], speeds[other], strict=True)]
    draw = random.Random(0).choices
    medians = sorted(statistics.median(draw(ratios, k=len(ratios))) for _ in range(2000))
    return f"{statistics.median(ratios):.2f} ({medians[50]:.2f} – {medians[-51]:.2f})"


def table(found: dict[str, dict[str, list[float]]]) -> Table:
    shown = Table(title="training, images/s, and framework ÷ it (median of the rounds' ratios)", title_justify="left")
    shown.add_column("")
    for column in ("median", "min – max", "framework ÷ it (95 %)", "aim"):
        shown.add_column(column, justify="right")
    for precision, speeds in found.items():
        for name, measured in speeds.items():
            target = TARGETS.get(name, {}).get(precision)
            shown.add_row(
                f"{precision} {name}",
                f"{statistics.median(measured):,.0f}",
                f"{min(measured):,.0f} – {max(measured):,.0f}",
                ratio(speeds, name) if name != "framework" else "",
                f"≥ {target}" if target else "",
            )
        shown.add_section()
    return shown


def parser_of(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """The arguments that the benchmarks of a training step share; also silences warnings."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VAE_DATA", "data")), help="folder with MNIST/raw")
    parser.add_argument("--images", type=int, default=25600, help="training images per epoch")
    parser.add_argument("--rounds", type=int, default=rounds)
    return parser


def main() -> None:
    parser = parser_of(__doc__, rounds=7)
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), help="in addition to the framework")
    parser.add_argument("--json", type=Path, help="write the medians to this file")
    arguments = parser.parse_args()
    console = Console()
    console.print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {arguments.images:,} images per epoch, batch {BATCH}"
    )
    found = measure(arguments.data.absolute(), arguments.images, arguments.rounds, ["framework", *arguments.only], console)
    console.print(table(found))
    if arguments.json:
        medians = {p: {name: round(statistics.median(v)) for name, v in speeds.items()} for p, speeds in found.items()}
        arguments.json.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
