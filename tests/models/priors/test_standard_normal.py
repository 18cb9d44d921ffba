from __future__ import annotations

import math

import pytest
import torch

from vae_lightning.errors import InvalidValue
from vae_lightning.models.priors import StandardNormal


def test_log_prob_is_the_formula() -> None:
    z = torch.randn(5, 4, 3)
    formula = -0.5 * z.square().sum(-1) - 1.5 * math.log(2 * math.pi)
    torch.testing.assert_close(StandardNormal(3)().log_prob(z), formula)


def test_it_has_nothing_to_learn_or_to_save() -> None:
    prior = StandardNormal(3)
    assert not list(prior.parameters())
    assert not prior.state_dict()
    assert (prior().batch_shape, prior().event_shape) == ((), (3,))


def test_it_moves_with_the_module() -> None:
    prior = StandardNormal(3).to("meta")
    assert prior().mean.device.type == "meta"
    assert prior().stddev.device.type == "meta"
    assert StandardNormal(3).double()().rsample((2,)).dtype == torch.float64


@pytest.mark.parametrize("latent_dim", [0, -1, 2.0, True])
def test_values_out_of_range_are_refused(latent_dim: int) -> None:
    with pytest.raises(InvalidValue, match=r"^latent_dim="):
        StandardNormal(latent_dim)
