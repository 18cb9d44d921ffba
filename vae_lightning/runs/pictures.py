"""The pictures that generate.py offers: each with its settings, their checks, what it needs of a run, and how it is drawn.

Imports no torch, so that a bad setting is reported at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vae_lightning.capabilities import REAL_SPACE
from vae_lightning.errors import UserError, check_int, check_number
from vae_lightning.evaluation.settings import check_int_or_null

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from vae_lightning.runs.draw import DrawingContext


@dataclass(frozen=True)
class RunPicture(ABC):
    """A picture of a trained run. A subclass is a dataclass whose fields are its settings.

    A new picture is a subclass, one line in `PICTURES`, and its settings with their defaults in `conf/generate.yaml`.
    """

    name: ClassVar[str]
    along_lines: ClassVar[bool] = False  # whether it moves along straight lines, so that the latent space has to be a real one

    @abstractmethod
    def draw(self, context: DrawingContext) -> Figure:
        """Draws it.

        Raises:
            UserError: there are not enough images.
        """

    def save(self, context: DrawingContext, folder: Path) -> Path:
        """Draws it and writes `<name>.png` to the folder, giving its path."""
        from vae_lightning.plots.images import save_png, to_array

        return save_png(to_array(self.draw(context)), folder / f"{self.name}.png")

    def check(self, context: DrawingContext) -> None:  # noqa: B027  # most pictures have nothing to check
        """UserError where a setting does not fit the run."""

    def obstacle(self, context: DrawingContext) -> str | None:
        """Why this run cannot have the picture, to be read after `what=<name>`; None if it can."""
        if self.along_lines and REAL_SPACE not in context.vae.posterior.capabilities:
            return f"is incompatible with {context.vae.posterior.option}: it needs {REAL_SPACE}"
        return None

    def applies_to(self, context: DrawingContext) -> bool:
        """Whether it is drawn when generate.py is not told what to draw."""
        return self.obstacle(context) is None


@dataclass(frozen=True)
class SamplesPicture(RunPicture):
    """Samples from the prior.

    Args:
        rows: None: 8, or one for each class of a condition.
        columns: samples in a row.
        label: the class of all samples; None: a row for each class in turn.
    """

    rows: int | None = None
    columns: int = 12
    label: int | None = None

    name = "samples"

    def __post_init__(self) -> None:
        check_int_or_null("rows", self.rows)
        check_int("columns", self.columns)
        check_int_or_null("label", self.label, 0)

    def check(self, context: DrawingContext) -> None:
        _check_label(self.name, self.label, context)

    def draw(self, context: DrawingContext) -> Figure:
        from vae_lightning.plots import images

        return images.samples(context.vae, self.rows, self.columns, context.seed, self.label)


@dataclass(frozen=True)
class ReconstructionsPicture(RunPicture):
    """Images of the split, and under each its reconstruction.

    Args:
        count: images, at most.
        columns: images in a row.
    """

    count: int = 40
    columns: int = 10

    name = "reconstructions"

    def __post_init__(self) -> None:
        check_int("count", self.count)
        check_int("columns", self.columns)

    def draw(self, context: DrawingContext) -> Figure:
        from vae_lightning.plots import images

        count = min(self.count, len(context.split))
        return images.reconstructions(context.vae, context.images(0, count), self.columns, context.labels(0, count))


@dataclass(frozen=True)
class TraversalsPicture(RunPicture):
    """One latent dimension moved at a time, those with the most KL first.

    Args:
        image: place in the split of the image that the traversals pass through.
        reach: how far to move to either side.
        columns: steps.
    """

    image: int = 0
    reach: float = 3.0
    columns: int = 11

    name = "traversals"
    along_lines = True

    def __post_init__(self) -> None:
        check_int("image", self.image, 0)
        check_number("reach", self.reach, 0, above=True)
        check_int("columns", self.columns)

    def draw(self, context: DrawingContext) -> Figure:
        from vae_lightning.plots import images

        x, c, kl = context.images(self.image, 1)[0], context.labels(self.image, 1), context.kl_per_dimension()
        return images.traversals(context.vae, x, kl, self.reach, self.columns, c=c)


@dataclass(frozen=True)
class InterpolationsPicture(RunPicture):
    """Straight lines in latent space between pairs of images.

    Args:
        rows: pairs, at most.
        columns: steps.
    """

    rows: int = 6
    columns: int = 11

    name = "interpolations"
    along_lines = True

    def __post_init__(self) -> None:
        check_int("rows", self.rows)
        check_int("columns", self.columns)

    def draw(self, context: DrawingContext) -> Figure:
        from vae_lightning.plots import images

        size = len(context.split)
        rows = min(self.rows, size // 2)
        if rows == 0:
            raise UserError(f"what=interpolations needs two images, and {context.split_name} has {size}.")
        x, c = context.images(0, 2 * rows), context.labels(0, 2 * rows)
        return images.interpolations(context.vae, x[:rows], x[rows:], self.columns, c[:rows], c[rows:])


@dataclass(frozen=True)
class LatentScatterPicture(RunPicture):
    """The codes of the split, coloured by label.

    Args:
        count: images, at most.
    """

    count: int = 2000

    name = "latent_scatter"

    def __post_init__(self) -> None:
        check_int("count", self.count)

    def draw(self, context: DrawingContext) -> Figure:
        import torch

        from vae_lightning.plots.latents import latent_scatter

        count = min(self.count, len(context.split))
        with torch.no_grad():
            codes = context.vae.encode(context.images(0, count), context.labels(0, count)).mean
        return latent_scatter(codes, context.split.labels[:count], context.split_name)


@dataclass(frozen=True)
class ManifoldPicture(RunPicture):
    """The plane of a two-dimensional latent space, decoded.

    Args:
        side: images in a row and in a column.
        label: the class, with condition=label; None: 0.
    """

    side: int = 20
    label: int | None = None

    name = "manifold"
    along_lines = True

    def __post_init__(self) -> None:
        check_int("side", self.side)
        check_int_or_null("label", self.label, 0)

    def check(self, context: DrawingContext) -> None:
        _check_label(self.name, self.label, context)

    def obstacle(self, context: DrawingContext) -> str | None:
        dim = context.vae.latent_prior.top_dim
        other = f"needs a two-dimensional latent space, and this run has latent_dim={dim}" if dim != 2 else None
        return super().obstacle(context) or other

    def draw(self, context: DrawingContext) -> Figure:
        from vae_lightning.plots import images

        return images.manifold(context.vae, self.side, self.label)


@dataclass(frozen=True)
class TrainingFilm(RunPicture):
    """A GIF of reconstructions, samples and codes, epoch by epoch, of the frames that training kept in `film/`.

    Args:
        seconds: its length.
    """

    seconds: float = 12.0

    name = "training_film"

    def __post_init__(self) -> None:
        check_number("seconds", self.seconds, 0, above=True)

    def applies_to(self, context: DrawingContext) -> bool:
        return len(list((context.run.folder / "film").glob("[0-9]*.npz"))) > 1

    def draw(self, context: DrawingContext) -> Figure:
        raise NotImplementedError("a film is many pictures: see save")

    def save(self, context: DrawingContext, folder: Path) -> Path:
        """Writes `training_film.gif`; RunError where there are not enough frames, or one is damaged."""
        from vae_lightning.plots.film import read_frames, training_film

        return training_film(read_frames(context.run.folder), folder / f"{self.name}.gif", self.seconds)


PICTURES: dict[str, type[RunPicture]] = {
    picture.name: picture
    for picture in (
        SamplesPicture,
        ReconstructionsPicture,
        TraversalsPicture,
        InterpolationsPicture,
        LatentScatterPicture,
        ManifoldPicture,
        TrainingFilm,
    )
}


def _check_label(name: str, label: int | None, context: DrawingContext) -> None:
    condition = context.vae.condition
    if label is not None and not condition.classes:
        raise UserError(f"{name}.label={label} would have no effect: this run has {condition.option}; leave it out.")
    if label is not None and label >= condition.classes:
        raise UserError(f"{name}.label={label}: must be one of the classes 0 to {condition.classes - 1}.")
