"""The base class of data sets: images and labels, split into train, val and test with a seed. No Lightning here."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypedDict

import torch

from vae_lightning.data.images import Images, kind_of, mean_pixel
from vae_lightning.data.stratified import stratified_split as stratified_split  # where data sets look for it
from vae_lightning.errors import UserError, check_bool, check_choice, check_int, check_seed

SPLITS = ("train", "val", "test")
MAX_WORKERS = 256  # each is a process: a typo must not start thousands
KINDS = ("binary", "grey", "colour", "real")
BINARIZE = ("auto", "dynamic", "static", "threshold", "none")


@dataclass(frozen=True)
class DataSpec:
    """What a model needs to know about its data; kept in the run, so that the model can be rebuilt without the data.

    Attributes:
        shape: (channels, height, width).
        mean: of all training pixels, in [0, 1].
        train_size: number of training images.
        classes: number of labels, 0 to classes − 1; None if some image has no label.
        kind: binary, grey, colour or real; None in runs that were made before kinds were recorded.
        class_names: the names of labels 0, 1 …; None if they have none.
    """

    shape: tuple[int, int, int]
    mean: float
    train_size: int
    classes: int | None = None
    kind: str | None = None
    class_names: tuple[str, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        names = None if self.class_names is None else list(self.class_names)
        return {**asdict(self), "shape": list(self.shape), "class_names": names}

    @classmethod
    def from_dict(cls, data_spec: dict[str, Any]) -> DataSpec:
        names = data_spec.get("class_names")
        return cls(
            tuple(data_spec["shape"]),
            float(data_spec["mean"]),
            int(data_spec["train_size"]),
            data_spec.get("classes"),
            data_spec.get("kind"),
            None if names is None else tuple(map(str, names)),
        )


class DataSettings(TypedDict, total=False):
    """The settings that all data sets share; see `ImageData`."""

    split_seed: int
    binarize: str
    batch_size: int
    eval_batch_size: int
    num_workers: int
    drop_last: bool


class ImageData(ABC):
    """A data set with its splits and the settings of its loaders.

    Attributes:
        categorical_factors: for splits with `factors`: for each factor, whether its values are categories rather than quantities.
        kind: binary (also of grey pixels that the literature reads as probabilities), grey, colour or real; None: as the
            images show. The likelihood that is left at its default follows it.
        class_names: the names of labels 0, 1 …, if they have any.
        mean: of all training pixels, in [0, 1]; None: as `mean_pixel` finds it.
        notes: what a person should know about how the data were read, one sentence each; printed when a run starts.

    Args:
        val_size: images held out for validation; None for a set that has validation images of its own.
        split_seed: seed of the split; not the run's seed, so that runs that differ in `seed` see the same images.
        binarize: see `data.binarization`.
        batch_size: images per training batch, in each process.
        eval_batch_size: affects speed and memory only.
        num_workers: of the DataLoaders (0 is fastest, since a batch is one index operation).
        drop_last: leave out a last training batch that is not full.
    """

    categorical_factors: ClassVar[tuple[bool, ...]] = ()
    kind: str | None = None
    class_names: tuple[str, ...] | None = None
    mean: float | None = None

    def __init__(
        self,
        val_size: int | None = None,
        split_seed: int = 0,
        binarize: str = "auto",
        batch_size: int = 128,
        eval_batch_size: int = 500,
        num_workers: int = 0,
        drop_last: bool = False,
    ) -> None:
        self.val_size = 0 if val_size is None else check_int("val_size", val_size)
        self.split_seed = check_seed("split_seed", split_seed)
        self.binarize = check_choice("binarize", binarize, BINARIZE)
        self.batch_size = check_int("batch_size", batch_size)
        self.eval_batch_size = check_int("eval_batch_size", eval_batch_size)
        self.num_workers = check_int("num_workers", num_workers, 0, MAX_WORKERS)
        self.drop_last = check_bool("drop_last", drop_last)
        self.notes: list[str] = []
        self._splits: dict[str, Images] | None = None

    def __init_subclass__(cls) -> None:
        """Show the arguments of a constructor that ends in `**settings` as those of `DataSettings`, with the base's defaults."""
        super().__init_subclass__()
        own, base = (inspect.signature(of.__init__).parameters for of in cls.__mro__[:2])  # type: ignore[misc]  # on purpose: their own
        named = [parameter for parameter in own.values() if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        if len(named) < len(own):
            missing = [name for name in DataSettings.__annotations__ if name not in own]
            shared = [base[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in missing]
            cls.__init__.__signature__ = inspect.Signature([*named, *shared])  # type: ignore[attr-defined]  # see inspect.signature

    @abstractmethod
    def load(self) -> dict[str, Images]:
        """The three splits by name; called once."""

    def file_state(self) -> Hashable:
        """What differs once the user's own files have changed, so that a process that has loaded them loads them anew."""
        return None

    def splits(self) -> dict[str, Images]:
        """Train, val and test by name, loaded on first use; raises UserError if they are inconsistent."""
        if self._splits is None:
            self._splits = _checked(self.load(), type(self).__name__)
        return self._splits

    def adopt(self, other: ImageData) -> None:
        """Use what a data set with the same arguments has loaded."""
        self._splits, self.kind, self.class_names, self.notes = other.splits(), other.kind, other.class_names, other.notes
        self.mean = other.mean

    def spec(self) -> DataSpec:
        train = self.splits()["train"]
        labels = torch.cat([split.labels for split in self.splits().values()])
        classes = int(labels.max()) + 1 if labels.min() >= 0 else None
        return DataSpec(
            train.shape,
            mean_pixel(train) if self.mean is None else self.mean,
            len(train),
            classes,
            self.kind or kind_of(train),
            self.class_names,
        )


def _checked(splits: dict[str, Images], name: str) -> dict[str, Images]:
    """The splits, after checking that a model trained on one can be measured on the others."""
    if set(splits) != set(SPLITS):
        raise UserError(f"{name} loads the splits {', '.join(splits) or 'none'} instead of {', '.join(SPLITS)}.")
    shapes = {split: tuple(images.stored.shape[1:]) for split, images in splits.items()}
    if len(set(shapes.values())) > 1 or any(len(images) == 0 for images in splits.values()):
        found = ", ".join(f"{split} {len(splits[split])} × {shape}" for split, shape in shapes.items())
        raise UserError(
            f"The splits of {name} must be non-empty and share one image shape (channels, height, width); found {found}."
        )
    return splits
