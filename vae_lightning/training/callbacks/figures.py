"""Pictures of the model, drawn after certain epochs, for TensorBoard and the run's `figures/` folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import Logger
from matplotlib.figure import Figure

from vae_lightning.data.images import Images
from vae_lightning.data.sampler import OrderedBatches
from vae_lightning.errors import check_int
from vae_lightning.evaluation.elbo import SplitSums, evaluate_elbo
from vae_lightning.models.vae import VAE
from vae_lightning.plots.context import PictureContext
from vae_lightning.plots.images import save_png, to_array
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.training.callbacks.ema import run_weights
from vae_lightning.training.loggers import TensorBoard

if TYPE_CHECKING:
    from vae_lightning.training.module import VAEModule


def due(epoch: int, every_n_epochs: int | None) -> bool:
    """Whether pictures are drawn after this many epochs: 1, 2, 5, 10, 20, 50 …, or every n."""
    if every_n_epochs is not None:
        return epoch % every_n_epochs == 0
    while epoch % 10 == 0 and epoch > 0:
        epoch //= 10
    return epoch in (1, 2, 5)


class Pictures(Callback):
    """Draws every picture of `plots/pictures` that is drawn in training and fits the model.

    The last pictures of a run are drawn when it ends, from its best checkpoint.

    Args:
        every_n_epochs: draw after every n epochs; None for epochs 1, 2, 5, 10, 20, 50 ….
    """

    def __init__(self, every_n_epochs: int | None = None) -> None:
        self.every_n_epochs = None if every_n_epochs is None else check_int("every_n_epochs", every_n_epochs)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]  # our module
        if trainer.is_global_zero and due(trainer.current_epoch + 1, self.every_n_epochs) and trainer.limit_val_batches:
            split = trainer.datamodule.splits["val"]  # type: ignore[attr-defined]  # not annotated by Lightning
            names = trainer.datamodule.data.class_names  # type: ignore[attr-defined]  # likewise
            with run_weights(trainer, pl_module):
                drawn = draw_pictures(pl_module.vae, split, validation_sums(trainer, pl_module, split), names)
            save_pictures(drawn, Path(trainer.default_root_dir), trainer.loggers, trainer.global_step)


def validation_sums(trainer: Trainer, module: VAEModule, split: Images) -> SplitSums:
    """Measure the model in its current state on the validation images.

    The sums of the last validation are used if it was at this very step. Otherwise they would be those of older weights, and a
    run that was resumed in between would not have them.
    """
    if module.validated_at == trainer.global_step:
        return module.val_sums
    size = trainer.datamodule.data.eval_batch_size  # type: ignore[attr-defined]  # not annotated by Lightning
    module.vae.eval()
    try:
        return split_sums(module.vae, split, "val", size)
    finally:
        module.vae.train()


def split_sums(vae: VAE, split: Images, name: str, batch_size: int) -> SplitSums:
    """Measure the model on all images of a split."""
    device = next(vae.parameters()).device
    batches = (split[places].to(device) for places in OrderedBatches(len(split), batch_size))
    return evaluate_elbo(vae, batches, name)


@torch.no_grad()
def draw_pictures(vae: VAE, split: Images, sums: SplitSums, class_names: Sequence[str] | None = None) -> dict[str, Figure]:
    """Draw every picture of `plots.pictures.PICTURES` that fits the model.

    Args:
        vae: the model.
        split: the images of a split, usually validation.
        sums: what the model measured on that split.
        class_names: the names of labels 0, 1 …, if they have any.

    Returns:
        The pictures by name.
    """
    grid = vae.posterior.grid
    active = sums.metrics().get("active_units") if grid is None else sums.active_channels(grid)
    context = PictureContext(
        vae,
        lambda: split,
        "val",
        load_kl=sums.kl_per_dimension,
        active_units=None if active is None else int(active),
        evenly_spaced=True,
        class_names=class_names,
    )
    return {
        name: picture().draw(context)
        for name, picture in PICTURES.items()
        if picture.in_training and picture.fits(vae) and not (picture.needs_kl and context.kl is None)
    }


def save_pictures(drawn: dict[str, Figure], folder: Path, loggers: Iterable[Logger], step: int) -> list[Path]:
    """Write each picture to `figures/<name>.png`, replacing the last one, and to TensorBoard; return the paths."""
    pictures = {name: to_array(figure) for name, figure in drawn.items()}
    for logger in loggers:
        if isinstance(logger, TensorBoard):
            for name, picture in pictures.items():
                logger.log_picture(name, picture, step)
    return [save_png(picture, folder / "figures" / f"{name}.png") for name, picture in pictures.items()]
