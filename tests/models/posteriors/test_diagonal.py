from __future__ import annotations

import pytest
import torch
from torch.distributions import kl_divergence

from vae_lightning.errors import InvalidValue
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal


def test_features_are_mean_and_log_variance() -> None:
    q = Diagonal(2)(torch.tensor([[1.0, -2.0, 0.0, 2 * torch.log(torch.tensor(3.0))]]))
    assert Diagonal(2).features == 4
    assert (q.batch_shape, q.event_shape) == ((1,), (2,))
    assert q.mean.tolist() == [[1.0, -2.0]]
    torch.testing.assert_close(q.stddev, torch.tensor([[1.0, 3.0]]))


def test_float32_under_mixed_precision() -> None:
    features = torch.randn(4, 6).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        q = Diagonal(3)(features)
        z = q.rsample((2,))
        kl = kl_divergence(q, StandardNormal(3)())
    assert z.dtype == kl.dtype == q.log_prob(z).dtype == torch.float32
    assert torch.equal(kl, kl_divergence(Diagonal(3)(features.float()), StandardNormal(3)()))


@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, True])
def test_values_out_of_range_are_refused(latent_dim: int) -> None:
    with pytest.raises(InvalidValue, match=r"^latent_dim="):
        Diagonal(latent_dim)
