"""`data=folder` against the same images in memory: `python benchmarks/folder.py --images 100000 --size 64`.

Writes that many small pictures (PNG and JPEG in turn, larger than `--size`), and measures how long they take to decode, the
memory and the size of the cache. Then the memory map and the same images in memory take turns, an epoch each: shuffled batches
alone, and training as `train.py` does it (model=mlp and model=conv, the framework's own images/s of the second epoch of two).
The ratios are medians over the turns, which compare what was measured one right after the other.
"""

from __future__ import annotations

import argparse
import io
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from unittest.mock import patch

import numpy as np
from omegaconf import OmegaConf
from PIL import Image

from vae_lightning.api.compose import compose_command
from vae_lightning.config.compose import without_hydra
from vae_lightning.config.plain import plain_dict
from vae_lightning.data import Folder
from vae_lightning.data.images import Images, pixels
from vae_lightning.data.sampler import ShuffledBatches
from vae_lightning.training import build
from vae_lightning.training.overhead import low_overhead

# 40 batches an epoch, of all training images in a random order
TRAINING = (
    "trainer=cpu", "trainer.max_epochs=2", "trainer.limit_train_batches=40", "trainer.limit_val_batches=0", "lr_schedule=none",
    "callbacks=minimal", "logger=none", "name=bench", "~callbacks.best",
)  # fmt: skip


def write_pictures(root: Path, count: int, side: int) -> None:
    """Smooth random colours, a hundred folders of classes."""
    rng = np.random.default_rng(0)
    for i in range(count):
        place = root / f"{i % 100:02d}"
        place.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
        small.resize((side * 4 // 3, side), Image.Resampling.BICUBIC).save(place / f"{i}.{'jpg' if i % 2 else 'png'}")


def peak_mb() -> float:
    """The most memory that this process had, with what it has mapped."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def served(split: Images, batch_size: int, epoch: int) -> float:
    """Images/s of an epoch of shuffled batches, up to the pixels as floats."""
    begin = time.perf_counter()
    for examples in ShuffledBatches(len(split), batch_size, 0, epoch):
        pixels(split[examples].images)
    return len(split) / (time.perf_counter() - begin)


def trained(splits: dict[str, Images], folder: Folder, model: str, batch_size: int) -> float:
    """Images/s of the second epoch of two that the framework trains on these splits."""
    texts = ["data=folder", f"data.root={folder.root}", f"data.batch_size={batch_size}", f"model={model}", *TRAINING]
    config = without_hydra(compose_command("train", texts, "benchmark"))
    data = Folder(folder.root, batch_size=batch_size)
    data._splits, data.kind, data.mean, data.class_names = splits, folder.kind, folder.mean, folder.class_names
    complete = OmegaConf.create({**plain_dict(config), "choices": {"likelihood": "discretized_logistic", "objective": "elbo"}})
    with tempfile.TemporaryDirectory() as run, patch("vae_lightning.training.parts.build_data", lambda config: data), quiet():
        module, datamodule = build.assemble(complete)
        trainer = build.make_trainer(complete, Path(run))
        with low_overhead():
            trainer.fit(module, datamodule=datamodule)
    return float(module.recorder.history["train"]["images_per_second"])


@contextmanager
def quiet() -> Iterator[None]:
    """Without output: the bar would be drawn for each of the short epochs."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        yield


def by_turns(mapped: Callable[[int], float], kept: Callable[[int], float], turns: int) -> str:
    """Medians of images/s from the map and from memory, and of their ratio, each epoch of one after one of the other.

    Which comes first changes from turn to turn; the first turn warms up.
    """
    pairs = []
    for turn in range(turns + 1):
        if turn % 2:
            pairs.append((mapped(turn), kept(turn)))
        else:
            second = kept(turn)
            pairs.append((mapped(turn), second))
    pairs = pairs[1:]
    ratios = sorted(a / b for a, b in pairs)
    a, b = (statistics.median(side) for side in zip(*pairs, strict=True))
    return f"map {a:,.0f}, memory {b:,.0f} images/s, ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} – {ratios[-1]:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--side", type=int, default=80, help="height of the pictures on the disk")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root, cache = Path(folder, "pictures"), Path(folder, "cache")
        write_pictures(root, arguments.images, arguments.side)
        before = peak_mb()
        for what in ("decoded in", "opened again in"):
            begin = time.perf_counter()
            data = Folder(str(root), size=arguments.size, cache=str(cache))
            splits = data.splits()
            print(f"{arguments.images:,} pictures {what} {time.perf_counter() - begin:.1f} s", flush=True)
        print(f"memory while decoding: {peak_mb() - before:,.0f} MB more; cache: {cache_mb(cache):,.0f} MB")
        kept = {name: Images(split.images, split.labels) for name, split in splits.items()}
        batch, turns = arguments.batch, arguments.turns
        batches = by_turns(lambda t: served(splits["train"], batch, t), lambda t: served(kept["train"], batch, t), turns)
        print("batches:", batches, flush=True)
        for model in ("mlp", "conv"):
            ratio = by_turns(
                lambda _, model=model: trained(splits, data, model, batch),  # type: ignore[misc]
                lambda _, model=model: trained(kept, data, model, batch),  # type: ignore[misc]
                turns,
            )
            print(f"training, model={model}:", ratio, flush=True)


def cache_mb(cache: Path) -> float:
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
