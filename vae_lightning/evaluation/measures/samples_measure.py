"""`samples`: samples of the model compared with real images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vae_lightning.errors import InvalidValue, check_int, check_seed
from vae_lightning.evaluation.measures.base import Measure, Metric, details

if TYPE_CHECKING:
    from torch import Tensor

    from vae_lightning.evaluation.context import EvaluationContext
    from vae_lightning.evaluation.measure_result import MeasureResult


MOST_IMAGES, MOST_STEPS = 1_000_000, 100_000


@dataclass(frozen=True)
class SamplesMeasure(Measure):
    """Fréchet distance, precision and recall, in the feature space of a small classifier trained once for each data set.

    Samples are compared with images before binarisation, since E[x|z] is grey.

    Args:
        images: images of each kind, at least 100.
        seed: seed of the samples.
        classifier_steps: training steps of the classifier.
        cache: folder that keeps the classifier; None: `vae_lightning` in the user's cache folder.
    """

    images: int = 5000
    seed: int = 0
    classifier_steps: int = 600
    cache: str | None = None

    name = "samples"
    by_default = False
    metrics = (
        Metric("frechet_distance", "Fréchet distance of samples and real images (Heusel et al. 2017)", better="min", digits=2),
        Metric("frechet_distance_floor", "the same of training images instead of the samples", digits=2),
        Metric("precision", "share of samples that lie among real images (Kynkäänniemi et al. 2019)", better="max"),
        Metric("precision_floor", "the same of training images instead of the samples"),
        Metric("recall", "share of real images that lie among samples (Kynkäänniemi et al. 2019)", better="max"),
        Metric("recall_floor", "the same of training images instead of the samples"),
        *details(
            ("samples_images", "images of each kind"),
            ("samples_sampler", "what samples were drawn from: the prior, or a density fitted to codes"),
            ("samples_classifier", "SHA-256 of the classifier's weights; compare distances only if it is the same"),
        ),
    )

    def __post_init__(self) -> None:
        check_int("images", self.images, 100, MOST_IMAGES)
        check_seed("seed", self.seed)
        check_int("classifier_steps", self.classifier_steps, 1, MOST_STEPS)
        if self.cache is not None and not (isinstance(self.cache, str) and self.cache):
            raise InvalidValue("cache", self.cache, "a folder, or null for the user's cache folder")

    def measure(self, context: EvaluationContext) -> MeasureResult:
        import torch

        from vae_lightning.data.images import pixels
        from vae_lightning.evaluation.at_once import images_at_once
        from vae_lightning.evaluation.features import load_classifier
        from vae_lightning.evaluation.measure_result import MeasureResult, evenly_spaced
        from vae_lightning.evaluation.samples import compare_features, draw_features

        if context.split_name == "train":
            reason = "they are compared with images that were not trained on, so use split=test or split=val"
            return MeasureResult(notes=[f"Samples were not measured: {reason}."])
        grey = context.data.splits()
        labels = grey["train"].labels
        if len(labels[labels >= 0].unique()) < 2:
            reason = "images are compared by a classifier, and the training images have fewer than two labels"
            return MeasureResult(notes=[f"No samples: {reason}."])
        classifier, digest = load_classifier(grey["train"], self.classifier_steps, self.cache)
        count = min(self.images, len(grey[context.split_name]), len(grey["train"]))

        def real(split: str) -> Tensor:
            indices = evenly_spaced(len(grey[split]), count).split(images_at_once(context.vae.shape, context.batch_size))
            return torch.cat([classifier.features(pixels(grey[split][part].images)) for part in indices])

        source = context.attach_sampler()
        drawn = draw_features(context.vae, classifier.features, count, self.seed, context.batch_size)
        found = compare_features(real(context.split_name), drawn, real("train"))
        found.values["samples_classifier"] = digest
        found.values["samples_sampler"] = "prior" if context.vae.sampler is None else context.vae.sampler.name
        found.notes.append(f"Samples are drawn {source}.")
        return found
