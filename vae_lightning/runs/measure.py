"""The measures that `evaluate.py` offers, by name: each is given what it takes of a run, and its own keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from omegaconf import DictConfig

from vae_lightning.capabilities import DENSITY, DENSITY_ANYWHERE, REAL_SPACE
from vae_lightning.data.base import Batch, ImageData, Images, pixels
from vae_lightning.evaluation.codes import Codes, encode_split
from vae_lightning.evaluation.measure_result import MeasureResult, evenly_spaced
from vae_lightning.models.vae import VAE
from vae_lightning.runs.folder import Run
from vae_lightning.runs.images import is_grey_bernoulli, load_split


@dataclass
class EvaluationContext:
    """What is measured: the run's VAE on one split, as `config` (that of evaluate.py) asks. `codes` are those of the split.

    advance: told how many images a long measure has done, and of how many. nll: of each image, nan where it was not measured.
    """

    run: Run
    config: DictConfig
    vae: VAE
    device: torch.device
    data: ImageData
    split: Images
    codes: Codes
    advance: Callable[[int, int], None] = lambda images, total: None
    nll: torch.Tensor | None = None

    def batches(self, images: int | None = None, split: Images | None = None) -> list[Batch]:
        """`images` of the split (all: None), spread over it, on the device."""
        whole = self.split if split is None else split
        places = evenly_spaced(len(whole), images)
        return [whole[part].to(self.device) for part in places.split(self.config.batch_size)]

    def count(self, images: int | None) -> int:
        return len(self.split) if images is None else min(images, len(self.split))

    def per_image(self) -> dict[str, np.ndarray]:
        """What there is of each image: examples, labels, elbo, reconstruction, kl, nll, codes, factors."""
        codes = self.codes
        arrays = {"examples": codes.examples, "labels": codes.labels, "elbo": codes.elbo, "kl": codes.kl, "codes": codes.mean}
        arrays |= {"reconstruction": codes.reconstruction, "nll": self.nll, "factors": self.split.factors}
        return {name: array.numpy() for name, array in arrays.items() if array is not None}

    def is_grey(self) -> bool:
        return is_grey_bernoulli(self.run, self.vae.likelihood.support)


def nll(subject: EvaluationContext) -> MeasureResult:
    from vae_lightning.evaluation.nll import GPU_SAMPLES, evaluate_nll, samples_within

    settings = subject.config.nll
    if DENSITY not in subject.vae.posterior.capabilities:
        return MeasureResult(notes=[f"No nll: {subject.vae.posterior.option} has no density."])
    if subject.is_grey():
        return MeasureResult(
            notes=["No nll: grey pixels under a Bernoulli are no likelihood (train with data.binarize=auto for one)."]
        )
    count = subject.count(settings.images)
    samples = settings.samples
    if samples is None:
        on_gpu = subject.device.type == "cuda"
        samples = GPU_SAMPLES if on_gpu else samples_within(subject.vae, count, settings.seconds)
    batches = subject.batches(count)
    result = evaluate_nll(
        subject.vae, batches, subject.config.split, samples, settings.chunk, lambda images: subject.advance(images, count)
    )
    subject.nll = torch.full((len(subject.split),), torch.nan, dtype=torch.float64)
    subject.nll[evenly_spaced(len(subject.split), count)] = result.values
    found = result.figures()
    found.values["nll_images"] = count
    return found


def latents(subject: EvaluationContext) -> MeasureResult:
    from vae_lightning.evaluation.latents import evaluate_latents

    settings = subject.config.latents
    reason = ""
    if subject.vae.condition.classes:
        reason = f"with {subject.vae.condition.option} there is no one aggregate posterior"
    elif DENSITY_ANYWHERE not in subject.vae.posterior.capabilities:
        reason = f"{subject.vae.posterior.option} has no density at any z"
    if reason:
        found = evaluate_latents(subject.vae, [], replace(subject.codes, sample=None), subject.config.split)
        found.notes = [f"No mutual information or total correlation: {reason}."]
        return found
    return evaluate_latents(subject.vae, subject.batches(settings.images), subject.codes, subject.config.split, settings.points)


def reconstructions(subject: EvaluationContext) -> MeasureResult:
    from vae_lightning.evaluation.reconstructions import evaluate_reconstructions

    return evaluate_reconstructions(subject.vae, subject.batches())


def probes(subject: EvaluationContext) -> MeasureResult:
    from vae_lightning.evaluation.probes import evaluate_probes

    if subject.config.split == "train":
        return MeasureResult(
            notes=["No probes: they are learned on the training images, so measure them with split=test or val."]
        )
    train = load_split(subject.run, "train", data=subject.data)
    codes = encode_split(subject.vae, subject.batches(subject.config.probes.images, train), "train")
    if codes.mean is None or subject.codes.mean is None:
        return MeasureResult(notes=["No probes: this posterior has no mean vector."])
    return evaluate_probes(codes.mean, codes.labels, subject.codes.mean, subject.codes.labels)


def disentanglement(subject: EvaluationContext) -> MeasureResult:
    from vae_lightning.evaluation.disentanglement import evaluate_disentanglement

    factors = subject.split.factors
    if factors is None:
        return MeasureResult(notes=["No disentanglement: the factors of these images are not known (data=sprites has them)."])
    if subject.codes.mean is None:
        return MeasureResult(notes=["No disentanglement: this posterior has no mean vector."])
    places = evenly_spaced(len(subject.split), subject.config.disentanglement.images)
    return evaluate_disentanglement(subject.codes.mean[places], factors[places], subject.data.categorical_factors)


def ais(subject: EvaluationContext) -> MeasureResult:
    from vae_lightning.evaluation.ais import evaluate_ais

    settings = subject.config.ais
    if subject.is_grey():
        return MeasureResult(notes=["No ais: grey pixels under a Bernoulli are no likelihood."])
    if not {DENSITY, REAL_SPACE} <= subject.vae.posterior.capabilities or subject.vae.condition.classes:
        return MeasureResult(notes=[f"No ais: it needs {DENSITY} and {REAL_SPACE}, and no condition."])
    count = subject.count(settings.images)
    return evaluate_ais(
        subject.vae,
        subject.batches(count),
        subject.config.split,
        settings.chains,
        settings.steps,
        settings.leapfrog,
        settings.simulated,
        lambda images: subject.advance(images, count),
        None if subject.nll is None else subject.nll[evenly_spaced(len(subject.split), count)],
    )


def samples(subject: EvaluationContext) -> MeasureResult:
    """Against the images as they were before they were binarised, since E[x|z] is grey."""
    from vae_lightning.evaluation.features import load_classifier
    from vae_lightning.evaluation.samples import compare_features, draw_features

    settings = subject.config.samples
    split = subject.config.split
    if split == "train":
        return MeasureResult(
            notes=["No samples: they are compared with images that were not trained on, so use split=test or val."]
        )
    grey = subject.data.splits()
    classifier, digest = load_classifier(grey["train"], settings.classifier_steps, settings.cache)
    count = min(settings.images, len(grey[split]), len(grey["train"]))

    def real(name: str) -> torch.Tensor:
        places = evenly_spaced(len(grey[name]), count).split(subject.config.batch_size)
        return torch.cat([classifier.features(pixels(grey[name][part].images)) for part in places])

    drawn = draw_features(subject.vae, classifier.features, count, settings.seed, subject.config.batch_size)
    found = compare_features(real(split), drawn, real("train"))
    found.values["samples_classifier"] = digest
    return found


MEASURES: dict[str, Callable[[EvaluationContext], MeasureResult]] = {
    "nll": nll,
    "latents": latents,
    "reconstructions": reconstructions,
    "probes": probes,
    "disentanglement": disentanglement,
    "ais": ais,
    "samples": samples,
}
