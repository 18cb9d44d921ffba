"""The film of a training run: reconstructions, samples and codes, epoch by epoch, as a GIF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from vae_lightning.errors import RunError
from vae_lightning.files import atomic_write
from vae_lightning.plots.images import tile, to_array
from vae_lightning.readers import MB, read_arrays

Frame = dict[str, np.ndarray]
LARGEST_FRAME, LARGEST_FILM = 64 * MB, 2048 * MB  # bytes in memory
# the arrays of a frame: NumPy's name for the kind of their numbers, and how many dimensions they have
FRAME = {"x": ("u", 4), "reconstructions": ("u", 4), "samples": ("u", 4), "codes": ("f", 2), "labels": ("i", 1), "elbo": ("f", 0)}
COLOURS = [f"C{i}" for i in range(10)]


def read_frames(folder: Path) -> dict[int, Frame]:
    """Read each file in `film/` by epoch, in order; raise RunError if there are fewer than two, or one is damaged."""
    frames: dict[int, Frame] = {}
    size = 0
    for path in sorted((folder / "film").glob("[0-9]*.npz")):
        if not path.stem.isdecimal():
            continue
        arrays = read_arrays(path, LARGEST_FRAME)
        size += sum(array.nbytes for array in arrays.values())
        if size > LARGEST_FILM:
            raise RunError(f"The frames in {path.parent} take more than {LARGEST_FILM:,} bytes in memory, and are not read.")
        reason = _damage(arrays, next(iter(frames.values()), arrays))
        if reason is not None:
            raise RunError(f"{path} is damaged and cannot be read: {reason}; delete it to make the film without it.")
        arrays["codes"] = np.nan_to_num(arrays["codes"])
        frames[int(path.stem)] = arrays
    if len(frames) < 2:
        raise RunError(f"{folder} has no frames of its training (film/): train with callbacks=default, for two epochs or more.")
    return frames


def _damage(frame: Frame, first: Frame) -> str | None:
    """Return what is wrong with the arrays of a frame, which must have the sizes of the film's first one; None if nothing is."""
    for name, (kind, rank) in FRAME.items():
        array = frame.get(name)
        if array is None:
            return f"it has no {name}"
        if array.dtype.kind != kind or array.ndim != rank:
            return f"{name} has {array.ndim} dimensions of {array.dtype}"
        if rank and (0 in array.shape or array.shape != first[name].shape):
            return f"{name} has the shape {array.shape}"
    shapes = {name: frame[name].shape for name in FRAME}
    same_images = shapes["x"] == shapes["reconstructions"] and shapes["x"][1:] == shapes["samples"][1:]
    if not same_images or shapes["x"][1] not in (1, 3) or shapes["codes"][0] != len(frame["labels"]):
        return "its arrays are of different sizes"
    return None


def training_film(frames: dict[int, Frame], path: Path, seconds: float = 12.0) -> Path:
    """Write a GIF of all frames.

    Args:
        frames: from `read_frames`.
        path: where the GIF goes; it is written atomically.
        seconds: its length; the last frame stays for two seconds more.
    """
    basis, limits = _view(list(frames.values()))
    pictures = [Image.fromarray(_picture(epoch, frame, basis, limits)) for epoch, frame in frames.items()]
    palette = pictures[-1].quantize(64)
    pictures = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [max(40, round(1000 * seconds / len(pictures)))] * len(pictures)
    durations[-1] += 2000
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        pictures[0].save(file, format="gif", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True)
    return path


def _view(frames: list[Frame]) -> tuple[np.ndarray, tuple[float, float]]:
    """Return the plane (latent_dim, 2) of the two largest variances of the last codes, used for all epochs, and its range."""
    last = frames[-1]["codes"].astype(np.float64)
    dim = last.shape[1]
    basis = np.eye(dim, 2) if dim <= 2 else np.linalg.svd(last - last.mean(0), full_matrices=False)[2][:2].T
    reach = 1.05 * max(np.quantile(np.abs(frame["codes"].astype(np.float64) @ basis), 0.995) for frame in frames)
    return basis, (-max(reach, 1.0), max(reach, 1.0))


def _picture(epoch: int, frame: Frame, basis: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """One frame, uint8 (height, width, 3)."""
    figure = Figure(figsize=(8.4, 3.4), dpi=90, layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(0.62, 1, 1.1))
    pairs = np.stack([frame["x"], frame["reconstructions"]], 1)
    for ax, images, title in (
        (left, pairs[: len(pairs) // 2 * 2].reshape(-1, 4, *pairs.shape[2:]), "x and x̂"),
        (middle, _rows(frame["samples"], 6), "samples, z ~ p(z)"),
    ):
        canvas, _ = tile(images.astype(np.float32) / 255, 2, 1)
        ax.imshow(canvas, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        ax.set_axis_off()
        ax.set_title(title, fontsize=10)
    points = frame["codes"].astype(np.float64) @ basis
    for label in np.unique(frame["labels"]):
        mine = frame["labels"] == label
        right.plot(points[mine, 0], points[mine, 1], ".", ms=3.5, color=COLOURS[int(label) % 10] if label >= 0 else "0.6")
    right.set(xlim=limits, ylim=limits, title="codes E[z|x] by label", aspect="equal")
    right.title.set_fontsize(10)
    elbo = float(frame["elbo"])
    figure.suptitle(f"epoch {epoch}" + (f"    validation elbo {elbo:.1f} nats" if np.isfinite(elbo) else ""), fontsize=11)
    return to_array(figure)


def _rows(images: np.ndarray, columns: int) -> np.ndarray:
    columns = min(columns, len(images))
    return images[: len(images) // columns * columns].reshape(-1, columns, *images.shape[1:])
