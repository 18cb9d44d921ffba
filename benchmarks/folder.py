"""`data=folder` against the same images in memory: `python benchmarks/folder.py --images 100000 --size 64`.

Writes that many small pictures (PNG and JPEG in turn, larger than `--size`), and measures how long they take to decode, the
memory and the size of the cache. Then it serves shuffled batches from the memory map and from memory in turn, an epoch each, and
trains a small network on both in turn. The ratios are medians over the turns.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from vae_lightning.data import Folder
from vae_lightning.data.images import Images, pixels
from vae_lightning.data.sampler import ShuffledBatches


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


def trained(split: Images, batch_size: int, epoch: int) -> float:
    """Images/s of an epoch of training of an auto-encoder with one hidden layer."""
    torch.manual_seed(0)
    size = split.stored[0].numel()
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size, 64), torch.nn.ReLU(), torch.nn.Linear(64, size))
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    begin = time.perf_counter()
    for examples in ShuffledBatches(len(split), batch_size, 0, epoch):
        x = pixels(split[examples].images)
        optimizer.zero_grad()
        (network(x) - x.flatten(1)).square().mean().backward()
        optimizer.step()
    return len(split) / (time.perf_counter() - begin)


def by_turns(measure: Callable[[Images, int, int], float], mapped: Images, kept: Images, turns: int, batch: int) -> str:
    """Medians of images/s from the map and from memory, and of their ratio, each epoch of one after one of the other."""
    pairs = [(measure(mapped, batch, turn), measure(kept, batch, turn)) for turn in range(turns + 1)][1:]
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
            splits = Folder(str(root), size=arguments.size, cache=str(cache)).splits()
            print(f"{arguments.images:,} pictures {what} {time.perf_counter() - begin:.1f} s")
        print(f"memory while decoding: {peak_mb() - before:,.0f} MB more; cache: {cache_mb(cache):,.0f} MB")
        mapped = splits["train"]
        kept = Images(mapped.images, mapped.labels)
        print("batches: ", by_turns(served, mapped, kept, arguments.turns, arguments.batch))
        print("training:", by_turns(trained, mapped, kept, arguments.turns, arguments.batch))


def cache_mb(cache: Path) -> float:
    return sum(path.stat().st_size for path in cache.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
