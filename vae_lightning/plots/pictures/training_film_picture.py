"""`training_film`: the training, epoch by epoch, as a GIF."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vae_lightning.errors import check_number
from vae_lightning.plots.pictures.base import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.plots.context import PictureContext


@dataclass(frozen=True)
class FilmPicture(Picture):
    """A GIF of reconstructions, samples and codes, epoch by epoch, of the frames that training kept in `film/`.

    Args:
        seconds: its length.
    """

    seconds: float = 12.0

    name = "training_film"
    in_training = False

    def __post_init__(self) -> None:
        check_number("seconds", self.seconds, 0, 3600, above=True)

    def applies_to(self, context: PictureContext) -> bool:
        return context.folder is not None and len(list((context.folder / "film").glob("[0-9]*.npz"))) > 1

    def draw(self, context: PictureContext) -> Figure:
        raise NotImplementedError("a film is no figure: `save` writes it")

    def save(self, context: PictureContext, folder: Path) -> Path:
        """Write `training_film.gif`; raise RunError if there are not enough frames, or one is damaged."""
        from vae_lightning.plots.film import read_frames, training_film

        assert context.folder is not None
        return training_film(read_frames(context.folder), folder / f"{self.name}.gif", self.seconds)
