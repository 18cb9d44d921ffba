from __future__ import annotations

import pytest
import torch

from tests.linear_gaussian import LinearGaussian, random_batch
from vae_lightning.data.images import pixels
from vae_lightning.evaluation.reconstructions import evaluate_reconstructions, ssim
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 12, 20)])
def test_ssim_is_that_of_torchmetrics(shape: tuple[int, int, int]) -> None:
    from torchmetrics.functional.image import structural_similarity_index_measure

    x = torch.rand(6, *shape)
    y = (x + 0.3 * torch.randn(6, *shape)).clamp(0, 1)
    theirs = structural_similarity_index_measure(y, x, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(x, y), theirs, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ssim(x, x), torch.ones(6))


def test_means_over_images_whatever_the_batches() -> None:
    vae = VAE(MLP(hidden=(8,)), Diagonal(2), StandardNormal(2), Bernoulli((1, 14, 14)))
    batch = random_batch(9, (1, 14, 14))
    found = evaluate_reconstructions(vae, [batch])
    x = pixels(batch.images)
    error = (x - vae.reconstruct(x)).square().mean((1, 2, 3))
    assert found.values["mse"] == pytest.approx(error.mean().item())
    assert found.values["mse_standard_error"] == pytest.approx(error.std().item() / 3)
    assert found.values["ssim"] == pytest.approx(ssim(x, vae.reconstruct(x)).mean().item())
    parts = [type(batch)(*(part[i : i + 4] for part in batch)) for i in (0, 4, 8)]
    assert evaluate_reconstructions(vae, parts).values == pytest.approx(found.values)


def test_small_images_have_no_ssim() -> None:
    found = evaluate_reconstructions(LinearGaussian().vae, [random_batch(5)])
    assert "ssim" not in found.values
    assert "too small for its window" in found.notes[0]
