"""Saves the frames of the film of a training run: a small file in `film/` after some of the epochs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from vae_lightning.data.images import Images, pixels
from vae_lightning.errors import check_int
from vae_lightning.files import atomic_write
from vae_lightning.models.vae import VAE
from vae_lightning.noise import StreamNoise, derive_seed
from vae_lightning.training.callbacks.ema import run_weights

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule


MOST, MOST_CODES = 1000, 100_000  # of a frame


def due(epoch: int, frames_per_tenfold: int) -> bool:
    """Whether a frame is saved after this many epochs: after every epoch at first, then evenly on a logarithmic scale."""
    ratio = 10 ** (1 / frames_per_tenfold)
    n = round(np.log(epoch) / np.log(ratio))
    return any(max(1, round(ratio**k)) == epoch for k in (n - 1, n, n + 1))


class Film(Callback):
    """Saves frames of a film of the training: `generate.py what=training_film` makes the film.

    A frame is saved after every epoch at first and less and less often later: 100 epochs make about 60 frames of 50 kB.

    Args:
        images: validation images to reconstruct.
        samples: samples, decoded from the same z in each frame.
        codes: validation images whose codes are saved.
        frames_per_tenfold: frames while the number of epochs grows by a factor of ten.
    """

    def __init__(self, images: int = 12, samples: int = 24, codes: int = 500, frames_per_tenfold: int = 40) -> None:
        self.images, self.samples = check_int("images", images, 1, MOST), check_int("samples", samples, 1, MOST)
        self.codes = check_int("codes", codes, 2, MOST_CODES)
        self.frames_per_tenfold = check_int("frames_per_tenfold", frames_per_tenfold, 1, MOST)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]  # our module
        epoch = trainer.current_epoch + 1
        if pl_module.vae.standardisation is not None:
            return  # a film shows images
        if trainer.is_global_zero and due(epoch, self.frames_per_tenfold) and not trainer.sanity_checking:
            split = trainer.datamodule.splits["val"]  # type: ignore[attr-defined]  # not annotated by Lightning
            with run_weights(trainer, pl_module):
                frame = self.frame(pl_module.vae.eval(), split, pl_module.device)
            pl_module.vae.train()
            elbo = pl_module.recorder.history.get("val", {}).get("elbo", float("nan"))
            write_frame(Path(trainer.default_root_dir) / "film" / f"{epoch:06d}.npz", {**frame, "elbo": np.array(elbo)})

    @torch.no_grad()
    def frame(self, vae: VAE, split: Images, device: torch.device) -> dict[str, np.ndarray]:
        """Make a frame: x, reconstructions and samples (N, C, H, W) uint8; codes (N, latent_dim) float16; labels (N,) int16."""
        coded = split.first(self.codes).to(device)
        x, c = pixels(coded.images), coded.labels
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
    """Write the frame atomically."""
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path) as file:
        np.savez_compressed(file, **frame)  # type: ignore[arg-type]  # NumPy annotates **kwds as allow_pickle


def _grey(images: Tensor) -> np.ndarray:
    return (images.clamp(0, 1) * 255).round().byte().cpu().numpy()
