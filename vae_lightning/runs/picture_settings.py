"""The pictures that generate.py offers: each with its settings, their checks, what it needs of a run, and how it is drawn.

Imports no torch, so that a bad setting is reported at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vae_lightning.errors import UserError, check_int, check_number
from vae_lightning.evaluation.settings import check_int_or_null

if TYPE_CHECKING:
    from vae_lightning.runs.draw import DrawingContext

MOST_IMAGES, MOST_IN_A_ROW = 100_000, 300  # limits for a picture


@dataclass(frozen=True)
class RunPicture:
    """The settings of a picture of a trained run. A subclass is a dataclass whose fields are the settings.

    How the picture is drawn, and what it needs of the model, is in `plots.registry.PICTURES` under the same name; the defaults of
    the settings are also in `conf/generate.yaml`.
    """

    name: ClassVar[str]

    def save(self, context: DrawingContext, folder: Path) -> Path:
        """Draw the picture and write `<name>.png` to the folder; return its path.

        Raises:
            UserError: there are not enough images.
        """
        from vae_lightning.plots.images import save_png, to_array
        from vae_lightning.plots.registry import PICTURES

        return save_png(to_array(PICTURES[self.name].draw(context.picture_context, **asdict(self))), folder / f"{self.name}.png")

    def check(self, context: DrawingContext) -> None:
        """Raise UserError if the picture, or one of its settings, does not apply to this run."""
        from vae_lightning.plots.registry import PICTURES

        PICTURES[self.name].check(self.name, context.vae)

    def applies_to(self, context: DrawingContext) -> bool:
        """Whether generate.py draws the picture by default."""
        from vae_lightning.plots.registry import PICTURES

        return PICTURES[self.name].fits(context.vae)


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
        check_int_or_null("rows", self.rows, 1, MOST_IN_A_ROW)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)
        check_int_or_null("label", self.label, 0)

    def check(self, context: DrawingContext) -> None:
        super().check(context)
        _check_label(self.name, self.label, context)


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
        check_int("count", self.count, 1, MOST_IMAGES)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)


@dataclass(frozen=True)
class TraversalsPicture(RunPicture):
    """One latent dimension moved at a time; those with the highest KL come first.

    Args:
        image: index in the split of the image that the traversals pass through.
        reach: how far to move to either side.
        columns: steps.
    """

    image: int = 0
    reach: float = 3.0
    columns: int = 11

    name = "traversals"

    def __post_init__(self) -> None:
        check_int("image", self.image, 0)
        check_number("reach", self.reach, 0, above=True)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)


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

    def __post_init__(self) -> None:
        check_int("rows", self.rows, 1, MOST_IN_A_ROW)
        check_int("columns", self.columns, 1, MOST_IN_A_ROW)


@dataclass(frozen=True)
class LatentScatterPicture(RunPicture):
    """The codes of the split, coloured by label.

    Args:
        count: images, at most.
    """

    count: int = 2000

    name = "latent_scatter"

    def __post_init__(self) -> None:
        check_int("count", self.count, 1, MOST_IMAGES)


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

    def __post_init__(self) -> None:
        check_int("side", self.side, 1, MOST_IN_A_ROW)
        check_int_or_null("label", self.label, 0)

    def check(self, context: DrawingContext) -> None:
        super().check(context)
        _check_label(self.name, self.label, context)


@dataclass(frozen=True)
class TrainingFilm(RunPicture):
    """A GIF of reconstructions, samples and codes, epoch by epoch, made of the frames that training saved in `film/`.

    Args:
        seconds: its length.
    """

    seconds: float = 12.0

    name = "training_film"

    def __post_init__(self) -> None:
        check_number("seconds", self.seconds, 0, 3600, above=True)

    def check(self, context: DrawingContext) -> None:
        """Check nothing: `save` says what is missing."""

    def applies_to(self, context: DrawingContext) -> bool:
        return len(list((context.run.folder / "film").glob("[0-9]*.npz"))) > 1

    def save(self, context: DrawingContext, folder: Path) -> Path:
        """Write `training_film.gif`; raise RunError if there are not enough frames, or one is damaged."""
        from vae_lightning.plots.film import read_frames, training_film

        return training_film(read_frames(context.run.folder), folder / f"{self.name}.gif", self.seconds)


PICTURE_SETTINGS: dict[str, type[RunPicture]] = {
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
