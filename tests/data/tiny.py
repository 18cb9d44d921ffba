"""Tiny files in the published layout of each data set that is read by name: no test needs a download."""

from __future__ import annotations

import bz2
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vae_lightning.data.smallnorb import STEMS

TRAIN, TEST = 40, 12


def pictures(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    """Random images, no two alike."""
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes, or of big-endian 32-bit integers."""
    kind = 8 if array.dtype == np.uint8 else 12
    header = bytes([0, 0, kind, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_kmnist(root: Path, folder: str = "KMNIST") -> None:
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for seed, (part, count) in enumerate((("train", TRAIN), ("t10k", TEST))):
        (raw / f"{part}-images-idx3-ubyte").write_bytes(idx(pictures(count, 28, 28, seed=seed)))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(idx((np.arange(count) % 10).astype(np.uint8)))


def write_emnist(root: Path, split: str = "balanced", classes: int = 47, first: int = 0) -> None:
    raw = root / "EMNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, (part, count) in enumerate((("train", 2 * classes), ("test", classes))):
        labels = (first + np.arange(count) % classes).astype(np.uint8)
        (raw / f"emnist-{split}-{part}-images-idx3-ubyte").write_bytes(idx(pictures(count, 28, 28, seed=seed)))
        (raw / f"emnist-{split}-{part}-labels-idx1-ubyte").write_bytes(idx(labels))


def write_qmnist(root: Path, test: int = TEST) -> None:
    raw = root / "QMNIST" / "raw"
    raw.mkdir(parents=True)
    for seed, (part, count) in enumerate((("train", TRAIN), ("test", test))):
        columns = np.arange(count, dtype=np.int32)[:, None] + 1000 * np.arange(8, dtype=np.int32)
        columns[:, 0] = np.arange(count) % 10
        (raw / f"qmnist-{part}-images-idx3-ubyte").write_bytes(idx(pictures(count, 28, 28, seed=seed)))
        (raw / f"qmnist-{part}-labels-idx2-int").write_bytes(idx(columns))


def write_usps(root: Path) -> None:
    for seed, (name, count) in enumerate((("usps.bz2", TRAIN), ("usps.t.bz2", TEST))):
        values = np.random.default_rng(seed).uniform(-1, 1, (count, 256)).round(3)
        values[:, 0], values[:, 1] = -1, 1
        lines = [
            f"{row % 10 + 1} " + " ".join(f"{place + 1}:{value:g}" for place, value in enumerate(line)) + " \n"
            for row, line in enumerate(values)
        ]
        (root / name).write_bytes(bz2.compress("".join(lines).encode()))


def python2_pickle(entries: Mapping[str, Any]) -> bytes:
    """A dictionary as Python 2 pickles it, in protocol 2: the published files of CIFAR."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    def array(value: np.ndarray) -> bytes:
        empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        kind = b"cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R(K\x03" + text(b"|") + b"NNN" + number(-1) * 2 + b"K\x00tb"
        content = value.tobytes()
        shape = b"".join(map(number, value.shape)) + b"\x86"
        return empty + b"(K\x01" + shape + kind + b"\x89T" + struct.pack("<i", len(content)) + content + b"tb"

    def pickled(value: Any) -> bytes:
        if isinstance(value, np.ndarray):
            return array(value)
        return b"](" + b"".join(map(number, value)) + b"e" if isinstance(value, list) else text(value)

    return b"\x80\x02}(" + b"".join(text(key.encode()) + pickled(value) for key, value in entries.items()) + b"u."


def write_cifar10(root: Path) -> None:
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    for number, name in enumerate([*(f"data_batch_{batch}" for batch in range(1, 6)), "test_batch"]):
        labels = [(number + row) % 10 for row in range(10)]
        batch = {"batch_label": b"batch", "labels": labels, "data": pictures(10, 3072, seed=number), "filenames": b"none"}
        (folder / name).write_bytes(python2_pickle(batch))


def write_cifar100(root: Path) -> None:
    folder = root / "cifar-100-python"
    folder.mkdir()
    for seed, (name, count) in enumerate((("train", 200), ("test", 100))):
        labels = [row % 100 for row in range(count)]
        coarse = [row % 20 for row in range(count)]
        batch = {"data": pictures(count, 3072, seed=seed), "coarse_labels": coarse, "fine_labels": labels}
        (folder / name).write_bytes(python2_pickle(batch))


def write_svhn(root: Path) -> None:
    from scipy.io import savemat

    for seed, (split, count) in enumerate((("train", TRAIN), ("test", TEST))):
        labels = (np.arange(count, dtype=np.uint8) % 10 + 1)[:, None]
        content = {"X": pictures(32, 32, 3, count, seed=seed), "y": labels}
        savemat(root / f"{split}_32x32.mat", content, do_compression=True)


def write_stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    folder.mkdir()
    for seed, (part, count) in enumerate((("train", TRAIN), ("test", TEST), ("unlabeled", 30))):
        pictures(count, 3, 96, 96, seed=seed).tofile(folder / f"{part}_X.bin")
        if part != "unlabeled":
            (np.arange(count) % 10 + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")


CELEBA_PARTS = [0] * 10 + [1] * 4 + [2] * 6


def write_celeba(root: Path) -> None:
    """The pictures are smooth, so that JPEG keeps them apart."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    names = [f"{number:06}.jpg" for number in range(1, len(CELEBA_PARTS) + 1)]
    for number, name in enumerate(names):
        smooth = Image.fromarray(pictures(1, 6, 5, 3, seed=number)[0]).resize((178, 218), Image.Resampling.BICUBIC)
        smooth.save(folder / "img_align_celeba" / name, quality=95)
    parts = "".join(f"{name} {part}\n" for name, part in zip(names, CELEBA_PARTS, strict=True))
    (folder / "list_eval_partition.txt").write_text(parts)
    signs = np.where(np.random.default_rng(0).integers(0, 2, (len(names), 3)), 1, -1)
    rows = "".join(f"{name} " + " ".join(f"{sign:2}" for sign in row) + "\n" for name, row in zip(names, signs, strict=True))
    (folder / "list_attr_celeba.txt").write_text(f"{len(names)}\nBald Male Smiling \n{rows}")


def write_omniglot(root: Path) -> None:
    from scipy.io import savemat

    content = {}
    for seed, (start, count) in enumerate((("", 150), ("test", 100))):
        alphabets = np.arange(count) % 50
        content[f"{start}data"] = np.random.default_rng(seed).random((784, count))
        content[f"{start}target"] = np.eye(50)[:, alphabets]
        content[f"{start}targetchar"] = np.ones((1, count))
    savemat(root / "chardata.mat", content, do_compression=True)


def write_frey(root: Path) -> None:
    from scipy.io import savemat

    savemat(root / "frey_rawface.mat", {"ff": pictures(560, 60)})


def grid(sizes: tuple[int, ...]) -> np.ndarray:
    """Every combination of factors, the last one fastest, int64 (N, factors)."""
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1).astype(np.int64)


DSPRITES_SIZES = (1, 3, 2, 5, 4, 4)


def write_dsprites(root: Path) -> None:
    """As published: pixels 0 and 1, and a pickled dictionary beside the arrays, which must not be loaded."""
    classes = grid(DSPRITES_SIZES)
    images = np.random.default_rng(0).integers(0, 2, (len(classes), 64, 64), dtype=np.uint8)
    metadata = np.array({"latents_sizes": np.array(DSPRITES_SIZES)}, dtype=object)
    np.savez_compressed(
        root / "dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz",
        metadata=metadata, imgs=images, latents_classes=classes, latents_values=classes.astype(float),
    )  # fmt: skip


SHAPES3D_SIZES = (2, 2, 2, 3, 4, 3)


def write_shapes3d(root: Path) -> None:
    import h5py

    factors = grid(SHAPES3D_SIZES)
    steps = np.array([0.1, 0.1, 0.1, 0.0714, 1, 4.2857])
    with h5py.File(root / "3dshapes.h5", "w") as file:
        file.create_dataset("images", data=pictures(len(factors), 64, 64, 3), compression="gzip", chunks=(32, 64, 64, 3))
        file.create_dataset("labels", data=factors * steps - [0, 0, 0, -0.75, 0, 30])


def norb_matrix(array: np.ndarray) -> bytes:
    """NORB's own format: type, rank, at least three sizes, little-endian."""
    magic = 0x1E3D4C55 if array.dtype == np.uint8 else 0x1E3D4C54
    sizes = [*array.shape, 1, 1][: max(3, array.ndim)]
    return struct.pack(f"<{2 + len(sizes)}I", magic, array.ndim, *sizes) + array.tobytes()


def write_smallnorb(root: Path) -> None:
    for seed, stem in enumerate(STEMS.values()):
        rng, count = np.random.default_rng(seed), (TRAIN, TEST)[seed]
        info = np.stack(
            [rng.integers(10, size=count), np.arange(count) % 9, 2 * (np.arange(count) % 18), np.arange(count) % 6], 1
        )
        category = np.arange(count) % 5
        (root / f"{stem}-dat.mat").write_bytes(norb_matrix(pictures(count, 2, 96, 96, seed=seed)))
        (root / f"{stem}-cat.mat").write_bytes(norb_matrix(category.astype("<i4")))
        (root / f"{stem}-info.mat").write_bytes(norb_matrix(info.astype("<i4")))


def write_medmnist(
    root: Path, name: str = "pathmnist", size: int = 28, channels: tuple[int, ...] = (3,), columns: int = 1
) -> None:
    content = {}
    for seed, (split, count) in enumerate((("train", TRAIN), ("val", 9), ("test", TEST))):
        content[f"{split}_images"] = pictures(count, size, size, *channels, seed=seed)
        labels = np.arange(count)[:, None] % 9 if columns == 1 else pictures(count, columns, seed=seed) % 2
        content[f"{split}_labels"] = labels.astype(np.uint8)
    np.savez_compressed(root / (f"{name}.npz" if size == 28 else f"{name}_{size}.npz"), **content)  # type: ignore[arg-type]


# for each option: what writes its files, and the arguments that fit so few images
SETS: dict[str, tuple[Callable[[Path], None], dict[str, int]]] = {
    "celeba": (write_celeba, {}),
    "cifar10": (write_cifar10, {"val_size": 10}),
    "cifar100": (write_cifar100, {"val_size": 100}),
    "dsprites": (write_dsprites, {"val_size": 60, "test_size": 120}),
    "emnist": (write_emnist, {"val_size": 47}),
    "frey": (write_frey, {"val_size": 10, "test_size": 20}),
    "kmnist": (write_kmnist, {"val_size": 10}),
    "medmnist": (write_medmnist, {}),
    "omniglot": (write_omniglot, {"val_size": 50}),
    "qmnist": (write_qmnist, {"val_size": 10}),
    "shapes3d": (write_shapes3d, {"val_size": 30, "test_size": 60}),
    "smallnorb": (write_smallnorb, {"val_size": 10}),
    "stl10": (write_stl10, {"val_size": 10}),
    "svhn": (write_svhn, {"val_size": 10}),
    "usps": (write_usps, {"val_size": 10}),
}
