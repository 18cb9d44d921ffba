"""One table lists every picture: training and generate.py draw what is in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

from tests.running import REPOSITORY
from vae_lightning.data.base import Images
from vae_lightning.errors import UserError
from vae_lightning.models import VAE
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import CategoricalPosterior, Diagonal
from vae_lightning.models.priors import StandardNormal, UniformCategorical
from vae_lightning.plots.images import reconstructions, to_array
from vae_lightning.plots.registry import PICTURES, PictureContext

SHAPE = (1, 6, 5)


def images(count: int = 30) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, *SHAPE), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 3)


def gaussian_vae(latent_dim: int = 2) -> VAE:
    torch.manual_seed(0)
    return VAE(MLP([8]), Diagonal(latent_dim), StandardNormal(latent_dim), Bernoulli(SHAPE))


def context(vae: VAE, count: int = 30) -> PictureContext:
    return PictureContext(vae, lambda: images(count), load_kl=lambda: [0.5] * vae.latent_dim, active_units=1)


@pytest.mark.parametrize("name", PICTURES)
def test_every_picture_draws(name: str) -> None:
    pixels = to_array(PICTURES[name].draw(context(gaussian_vae())))
    assert pixels.ndim == 3
    assert pixels.std() > 1


def test_settings_are_those_of_generate() -> None:
    settings = yaml.safe_load((REPOSITORY / "conf" / "generate.yaml").read_text(encoding="utf-8"))
    drawn = {name: picture for name, picture in PICTURES.items() if picture.in_generate}
    for name, picture in drawn.items():
        picture.draw(context(gaussian_vae()), **settings[name])
    groups = {name for name, value in settings.items() if isinstance(value, dict) and name not in ("defaults", "data", "hydra")}
    assert groups - {"training_film"} == set(drawn)


def test_pictures_that_do_not_fit_are_refused() -> None:
    torch.manual_seed(0)
    discrete = VAE(MLP([8]), CategoricalPosterior(2, 3), UniformCategorical(2, 3), Bernoulli(SHAPE))
    assert [name for name, picture in PICTURES.items() if not picture.fits(discrete)] == [
        "traversals",
        "manifold",
        "interpolations",
    ]
    assert [name for name, picture in PICTURES.items() if not picture.fits(gaussian_vae(3))] == ["manifold"]
    with pytest.raises(UserError, match=r"^what=traversals is incompatible with posterior=categorical: it needs latents"):
        PICTURES["traversals"].check("traversals", discrete)
    with pytest.raises(UserError, match=r"^what=manifold draws a two-dimensional latent space, and this run has latent_dim=3"):
        PICTURES["manifold"].check("manifold", gaussian_vae(3))
    for name, picture in PICTURES.items():
        picture.check(name, gaussian_vae())


def test_images_and_kl_are_loaded_only_when_needed() -> None:
    def fail() -> Images:
        raise AssertionError

    PICTURES["samples"].draw(PictureContext(gaussian_vae(), fail))


def test_too_few_images_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^asked for 1 image starting at index 40, but val has only 30\.$"):
        PICTURES["traversals"].draw(context(gaussian_vae()), image=40)
    with pytest.raises(UserError, match=r"^what=interpolations needs two images, but val has 1\.$"):
        PICTURES["interpolations"].draw(context(gaussian_vae(), 1))


def test_reconstructions_show_the_first_images_or_evenly_spaced_ones() -> None:
    vae, split = gaussian_vae(), images()
    draw = PICTURES["reconstructions"].draw
    for places, evenly_spaced in ((torch.arange(10), False), (torch.arange(0, 30, 3), True)):
        expected = reconstructions(vae, split.images[places] * torch.tensor(1 / 255), c=split.labels[places])
        drawn = draw(context(vae), count=10, evenly_spaced=evenly_spaced)
        assert np.array_equal(to_array(drawn), to_array(expected))
