"""What the film of a training run is made from: a small file after some epochs, kept in `film/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from vae_lightning.data.base import pixels
from vae_lightning.errors import check_int
from vae_lightning.files import atomic_write
from vae_lightning.noise import StreamNoise, derive_seed


def due(epoch: int, frames_per_tenfold: int) -> bool:
    """Whether a frame is taken after that many epochs: each of the first ones, then so many for a tenfold of epochs."""
    ratio = 10 ** (1 / frames_per_tenfold)
    n = round(np.log(epoch) / np.log(ratio))
    return any(max(1, round(ratio**k)) == epoch for k in (n - 1, n, n + 1))


class Film(Callback):
    """Keeps reconstructions of `images` validation images, `samples` samples of the same z, and `codes` codes.

    After every epoch at first and ever fewer later, `frames_per_tenfold` for a tenfold of epochs: 100 epochs make about 60 frames
    of 50 kB. `generate.py what=training_film` makes the film of them.
    """

    def __init__(self, images: int = 12, samples: int = 24, codes: int = 500, frames_per_tenfold: int = 40) -> None:
        self.images, self.samples = check_int("images", images), check_int("samples", samples)
        self.codes = check_int("codes", codes, 2)
        self.frames_per_tenfold = check_int("frames_per_tenfold", frames_per_tenfold)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if trainer.is_global_zero and due(epoch, self.frames_per_tenfold) and not trainer.sanity_checking:
            split = trainer.datamodule.splits["val"]  # type: ignore[attr-defined]
            module: Any = pl_module
            vae = module.vae
            frame = self.frame(vae.eval(), split, pl_module.device)
            vae.train()
            elbo = module.recorder.history.get("val", {}).get("elbo", float("nan"))
            write_frame(Path(trainer.default_root_dir) / "film" / f"{epoch:06d}.npz", {**frame, "elbo": np.array(elbo)})

    @torch.no_grad()
    def frame(self, vae: Any, split: Any, device: torch.device) -> dict[str, np.ndarray]:
        """What one epoch leaves: x, reconstructions, samples (N, C, H, W) uint8, codes (N, latent_dim) float16, labels."""
        x, c = pixels(split.images[: self.codes]).to(device), split.labels[: self.codes].to(device)
        noise = StreamNoise(torch.Generator(device), derive_seed(0, "film"))
        shown = split[split.evenly_spaced(self.images)].to(device)
        return {
            "x": _grey(pixels(shown.images)),
            "reconstructions": _grey(vae.reconstruct(pixels(shown.images), shown.labels)),
            "samples": _grey(vae.sample(self.samples, noise)),
            "codes": vae.encode(x, c).mean.half().cpu().numpy(),
            "labels": c.cpu().numpy().astype(np.int16),
        }


def write_frame(path: Path, frame: dict[str, np.ndarray]) -> None:
    """Written beside and renamed."""
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        np.savez_compressed(file, **frame)  # type: ignore[arg-type]


def _grey(images: Tensor) -> np.ndarray:
    return (images.clamp(0, 1) * 255).round().byte().cpu().numpy()
