"""Pictures on a fixed schedule, into TensorBoard and `figures/`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from matplotlib.figure import Figure

from vae_lightning.errors import check_int
from vae_lightning.plots.images import save_png, to_array
from vae_lightning.plots.registry import PICTURES, PictureContext
from vae_lightning.training.loggers import TensorBoard


def due(epoch: int, every_n_epochs: int | None) -> bool:
    """Whether pictures are drawn after that many epochs: 1, 2, 5, 10, 20, 50 …, or every n."""
    if every_n_epochs is not None:
        return epoch % every_n_epochs == 0
    while epoch % 10 == 0 and epoch > 0:
        epoch //= 10
    return epoch in (1, 2, 5)


class Pictures(Callback):
    """Draws reconstructions, samples, traversals, the latent scatter, KL per dimension and, in two dimensions, the manifold.

    After epochs 1, 2, 5, 10, 20, 50 … or every `every_n_epochs`. The run's last pictures, made from its best checkpoint, are
    drawn when it ends.
    """

    def __init__(self, every_n_epochs: int | None = None) -> None:
        self.every_n_epochs = None if every_n_epochs is None else check_int("every_n_epochs", every_n_epochs)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and due(trainer.current_epoch + 1, self.every_n_epochs) and hasattr(pl_module, "val_sums"):
            drawn = draw_pictures(pl_module.vae, trainer.datamodule.splits["val"], pl_module.val_sums)  # type: ignore[attr-defined]
            save_pictures(drawn, Path(trainer.default_root_dir), trainer.loggers, trainer.global_step)


@torch.no_grad()
def draw_pictures(vae: Any, split: Any, sums: Any) -> dict[str, Figure]:
    """Every picture of `plots.registry.PICTURES` that fits the VAE, by name, from a validation split and its `SplitSums`."""
    context = PictureContext(
        vae, lambda: split, "val", load_kl=sums.kl_per_dimension, active_units=sums.metrics().get("active_units")
    )
    settings = {"reconstructions": {"evenly_spaced": True}}
    return {
        name: picture.draw(context, **settings.get(name, {}))
        for name, picture in PICTURES.items()
        if picture.in_training and picture.fits(vae) and not (picture.needs_kl and context.kl is None)
    }


def save_pictures(drawn: dict[str, Figure], folder: Path, loggers: Any, step: int) -> list[Path]:
    """Writes `figures/<name>.png` (replacing the last one) and hands each picture to TensorBoard; the paths."""
    pictures = {name: to_array(figure) for name, figure in drawn.items()}
    for logger in loggers:
        if isinstance(logger, TensorBoard):
            for name, picture in pictures.items():
                logger.log_picture(name, picture, step)
    return [save_png(picture, folder / "figures" / f"{name}.png") for name, picture in pictures.items()]
