"""The one bound on how many images are computed at once."""

from __future__ import annotations

import pytest
import torch

from vae_lightning.data.images import Batch
from vae_lightning.errors import InvalidValue, RunError
from vae_lightning.evaluation import at_once
from vae_lightning.evaluation.ais import bidirectional, evaluate_ais, tuned_path
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE

SHAPE = (1, 4, 4)


@pytest.fixture
def vae() -> VAE:
    torch.manual_seed(0)
    return VAE(MLP([8]), Diagonal(2), StandardNormal(2), Bernoulli(SHAPE)).eval()


def batches(count: int) -> list[Batch]:
    indices = torch.arange(count)
    return [Batch(torch.randint(0, 255, (count, *SHAPE), dtype=torch.uint8), indices, indices)]


def test_as_many_as_are_wanted_but_no_more_pixels_than_fit() -> None:
    assert at_once.images_at_once((1, 28, 28), 100) == 100
    assert at_once.images_at_once((1, 28, 28), 10**9) == 2**26 // 784
    assert at_once.images_at_once((1, 28, 28), 100, each=10**4) == 8
    assert at_once.images_at_once((3, 2**12, 2**12), 100) == 1


def test_what_cannot_be_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once.check_images("ais.chains", 4, (1, 28, 28))
    at_once.check_images("ais.chains", 1, (3, 10**4, 10**4))
    with pytest.raises(InvalidValue, match=r"ais.chains=10000: must be at most 5,592 with images of 12,000 pixels"):
        at_once.check_images("ais.chains", 10_000, (3, 80, 50))
    at_once.check_numbers("latents.points", 2000, 2000 * 33)
    with pytest.raises(RunError, match=r"latents.points=1000000: needs 8.0 TB, which do not fit into the free memory"):
        at_once.check_numbers("latents.points", 10**6, 10**12)


def test_a_smaller_bound_changes_no_value_of_ais(vae: VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    images = batches(6)
    whole = evaluate_ais(vae, images, "test", chains=2, steps=3, leapfrog=1, simulated=6).values
    monkeypatch.setattr(at_once, "MOST_PIXELS", 16 * 2 * 4)  # four images with two chains each
    split = evaluate_ais(vae, images, "test", chains=2, steps=3, leapfrog=1, simulated=6).values
    assert split["ais"] == pytest.approx(whole["ais"], abs=1e-6)
    with pytest.raises(InvalidValue, match=r"ais.chains=9"):
        evaluate_ais(vae, images, "test", chains=9, steps=3, leapfrog=1, simulated=6)


def test_simulated_images_in_parts_are_different_ones(vae: VAE, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tuned_path(vae, 2, 1)
    whole = bidirectional(vae, path, 6, 2)[0]
    monkeypatch.setattr(at_once, "MOST_PIXELS", 16 * 2 * 3)
    lower, upper = bidirectional(vae, path, 6, 2)
    assert lower.shape == upper.shape == (6,)
    assert torch.allclose(lower[:3], whole[:3], atol=1e-6)
    assert len(lower.unique()) == 6
