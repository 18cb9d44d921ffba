"""The feature space in which samples are compared: a small classifier, trained once for each data set and cached."""

from __future__ import annotations

import hashlib
import pickle
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vae_lightning.data.images import Images, pixels
from vae_lightning.errors import RunError
from vae_lightning.files import atomic_write, cache_folder
from vae_lightning.noise import derive_seed
from vae_lightning.readers import check_torch_file

VERSION = 1  # version of the recipe below: increase it with any change, so that old cached weights are not used
LARGEST_CACHED = 256 * 2**20  # bytes in a cached file
FEATURES, BATCH, LR = 64, 128, 2e-3


class Classifier(nn.Module):
    """Three convolutions, 64 features, in which images are compared, and the logits of the labels."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = shape
        for _ in range(3):
            height, width = -(-height // 2), -(-width // 2)
        layers: list[nn.Module] = []
        for width_in, width_out in ((channels, 16), (16, 32), (32, 64)):
            layers += [nn.Conv2d(width_in, width_out, 3, stride=2, padding=1), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * height * width, FEATURES))
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.body(x)))

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Features (N, 64), before the last ReLU, of images (N, C, H, W) in [0, 1]; float64, on the CPU."""
        return self.body(x).double().cpu()


def load_classifier(train: Images, steps: int = 600, cache: str | Path | None = None) -> tuple[Classifier, str]:
    """Load the classifier for these training images from the cache, or train it on the CPU and cache it.

    Weights, and so distances, may differ between machines by rounding: compare distances only if their hashes are equal.

    Args:
        train: training images with labels.
        steps: training steps.
        cache: folder of the cache; None: `vae_lightning` in the user's cache folder.

    Returns:
        The classifier, on the CPU, and the SHA-256 of its weights.
    """
    path = cache_folder(cache) / f"classifier-{fingerprint(train, steps)}.pt"
    model = Classifier(train.shape, int(train.labels.max()) + 1)
    kept = _read(path)
    try:
        if kept is not None and kept["sha256"] == weights_hash(kept["weights"]):
            model.load_state_dict(kept["weights"])
            return model.eval().requires_grad_(False), kept["sha256"]
    except (RuntimeError, KeyError, TypeError, AttributeError):
        pass  # damaged: train again
    model = train_classifier(train, steps)
    digest = weights_hash(model.state_dict())
    _write(path, {"weights": model.state_dict(), "sha256": digest})
    return model, digest


def train_classifier(train: Images, steps: int) -> Classifier:
    """Train with Adam and a cosine schedule down to 0, on the cross-entropy of the labels; deterministic.

    Images without a label, −1, are left out.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(derive_seed("classifier", VERSION))
        model = Classifier(train.shape, int(train.labels.max()) + 1)
    labelled = (train.labels >= 0).nonzero().squeeze(1)
    generator = torch.Generator().manual_seed(derive_seed("classifier", VERSION, "batches"))
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        chosen = torch.randint(len(labelled), (min(BATCH, len(labelled)),), generator=generator)
        batch = train[labelled[chosen]]
        optimizer.zero_grad()
        F.cross_entropy(model(pixels(batch.images)), batch.labels).backward()
        optimizer.step()
        schedule.step()
    return model.eval().requires_grad_(False)


def fingerprint(train: Images, steps: int) -> str:
    """Return a hash of the images, their labels and the training recipe."""
    digest = hashlib.sha256(repr((VERSION, steps, (len(train), *train.shape))).encode())
    for part in (*train.chunks(), train.labels):
        digest.update(part.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def weights_hash(weights: dict[str, Tensor]) -> str:
    """Return the SHA-256 of the names and values of weights."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a cached file; None if there is none, or it is damaged."""
    try:
        check_torch_file(path, LARGEST_CACHED)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError, RunError):
        return None
    return content if isinstance(content, dict) else None


def _write(path: Path, content: dict[str, Any]) -> None:
    """Keep the classifier; if the folder cannot be written to, it is trained again next time."""
    with suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            torch.save(content, file)
