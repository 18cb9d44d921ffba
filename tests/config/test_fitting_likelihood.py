from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.fitting_likelihood import FITTING, chosen_likelihood, resolve_likelihood
from vae_lightning.data.base import KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_auto_becomes_the_option_that_fits_the_data(kind: str) -> None:
    made = OmegaConf.create({"likelihood": {"_target_": None, "bias_from_data": True}, "choices": {"likelihood": "auto"}})
    resolve_likelihood(made, kind)
    option = FITTING[kind]
    expected = OmegaConf.load(conf_dir() / "likelihood" / f"{option}.yaml")
    assert made.likelihood == {**expected, "bias_from_data": True}
    assert made.choices.likelihood == option
    assert chosen_likelihood("auto", made.likelihood) == option


@pytest.mark.parametrize(("kind", "from_mean"), [("binary", False), ("grey", True), ("colour", True), ("real", False)])
def test_where_a_start_far_from_the_images_would_diverge_the_start_is_their_mean(kind: str, from_mean: bool) -> None:
    node = OmegaConf.load(conf_dir() / "likelihood" / "auto.yaml")
    made = OmegaConf.create({"likelihood": node})
    resolve_likelihood(made, kind)
    assert made.likelihood.bias_from_data is from_mean


def test_a_likelihood_that_was_chosen_stays() -> None:
    given = {
        "likelihood": {"_target_": "vae_lightning.models.likelihoods.Laplace", "scale": 0.3},
        "choices": {"likelihood": "laplace"},
    }
    made = OmegaConf.create(given)
    resolve_likelihood(made, "real")
    assert made == given
    assert chosen_likelihood("laplace", made.likelihood) == "laplace"
