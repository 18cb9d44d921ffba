from __future__ import annotations

import pytest
import torch
from torch.distributions import Categorical as TorchCategorical

from vae_lightning.errors import InvalidValue
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import CategoricalLikelihood, categorical

SHAPE = (3, 2, 4)


def test_log_prob_is_that_of_torch_for_each_channel() -> None:
    likelihood, h = CategoricalLikelihood(SHAPE, features=5), torch.randn(6, 4, 5, 2, 4)
    k = torch.randint(0, 256, (4, *SHAPE))
    weight, bias = likelihood.to_logits.weight[:, :, 0, 0], likelihood.to_logits.bias
    assert bias is not None
    logits = torch.einsum("of,sbfhw->sbhwo", weight, h) + bias
    # level-major: output k·channels + c is the logit of level k in channel c
    logits = logits.unflatten(-1, (256, 3)).permute(0, 1, 5, 2, 3, 4)
    expected = TorchCategorical(logits=logits).log_prob(k).sum((-3, -2, -1))
    torch.testing.assert_close(likelihood(h).log_prob(k / 255), expected, atol=1e-3, rtol=1e-5)
    mean = (logits.softmax(-1) * torch.arange(256) / 255).sum(-1)
    torch.testing.assert_close(likelihood(h).mean, mean)


def test_how_much_is_in_memory_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    likelihood, h, x = CategoricalLikelihood(SHAPE), torch.randn(3, 5, 16, 2, 4), torch.randint(0, 256, (5, *SHAPE)) / 255
    whole, mean = likelihood(h).log_prob(x), likelihood(h).mean
    monkeypatch.setattr(categorical, "NUMBERS_AT_ONCE", 4 * 256 * 24)
    seen: list[int] = []
    likelihood.to_logits.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    torch.testing.assert_close(likelihood(h).log_prob(x), whole)
    torch.testing.assert_close(likelihood(h).mean, mean)
    assert seen == 2 * [4, 4, 4, 3]


def test_draws_have_its_probabilities() -> None:
    likelihood, h = CategoricalLikelihood((1, 1, 1)), 8 * torch.randn(2, 16, 1, 1)
    with torch.no_grad():
        p = likelihood(h)
        probability = p.log_prob(torch.arange(256).view(-1, 1, 1, 1, 1) / 255).exp()
    draws = (p.sample((50_000,)).flatten(1) * 255).round().long()
    for i in range(2):
        counted = draws[:, i].bincount(minlength=256) / 50_000
        assert ((counted - probability[:, i]).abs() < 5 * (probability[:, i] / 50_000).sqrt() + 1e-4).all()


def test_the_decoder_gives_features_and_not_logits() -> None:
    likelihood = CategoricalLikelihood((3, 32, 32), features=8)
    decoder = MLP([10]).decoder(2, likelihood.out_shape)
    assert sum(p.numel() for p in decoder.parameters()) == 30 + 11 * 8 * 32 * 32
    assert sum(p.numel() for p in likelihood.parameters()) == 9 * 256 * 3


@pytest.mark.parametrize("features", [0, 1.5, None])
def test_values_out_of_range_are_refused(features: int) -> None:
    with pytest.raises(InvalidValue, match=r"^features="):
        CategoricalLikelihood(SHAPE, features)
