"""One table lists every picture: training and generate.py draw what is in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from tests.running import REPOSITORY
from vae_lightning.data.images import Images
from vae_lightning.errors import UserError
from vae_lightning.models import VAE
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import CategoricalPosterior, Diagonal
from vae_lightning.models.priors import StandardNormal, UniformCategorical
from vae_lightning.plots.context import PictureContext
from vae_lightning.plots.images import reconstructions, to_array
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.plots.pictures.reconstructions_picture import ReconstructionsPicture
from vae_lightning.plots.pictures.traversals_picture import TraversalsPicture

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


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "training_film"])
def test_every_picture_is_saved(name: str, tmp_path: Path) -> None:
    """For the film, see tests/plots/test_film.py."""
    path = PICTURES[name]().save(context(gaussian_vae()), tmp_path)
    assert path == tmp_path / f"{name}.png"
    assert np.asarray(Image.open(path)).std() > 1


def test_settings_are_those_of_generate() -> None:
    settings = yaml.safe_load((REPOSITORY / "conf" / "generate.yaml").read_text(encoding="utf-8"))
    groups = {name for name, value in settings.items() if isinstance(value, dict) and name not in ("defaults", "data", "hydra")}
    assert groups == {name for name, picture in PICTURES.items() if picture.in_generate}


def test_pictures_that_do_not_fit_are_refused() -> None:
    torch.manual_seed(0)
    discrete = VAE(MLP([8]), CategoricalPosterior(2, 3), UniformCategorical(2, 3), Bernoulli(SHAPE))
    assert {name for name, picture in PICTURES.items() if not picture.fits(discrete)} == {
        "traversals",
        "manifold",
        "interpolations",
    }
    assert [name for name, picture in PICTURES.items() if not picture.fits(gaussian_vae(3))] == ["manifold"]
    with pytest.raises(UserError, match=r"^what=traversals is incompatible with posterior=categorical: it needs latents"):
        PICTURES["traversals"]().check(discrete)
    with pytest.raises(UserError, match=r"^what=manifold draws a two-dimensional latent space, and this run has latent_dim=3"):
        PICTURES["manifold"]().check(gaussian_vae(3))
    for picture in PICTURES.values():
        picture().check(gaussian_vae())


def test_images_and_kl_are_loaded_only_when_needed() -> None:
    def fail() -> Images:
        raise AssertionError

    PICTURES["samples"]().draw(PictureContext(gaussian_vae(), fail))


def test_too_few_images_are_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^asked for 1 image starting at index 40, but val has only 30\.$"):
        TraversalsPicture(image=40).draw(context(gaussian_vae()))
    with pytest.raises(UserError, match=r"^what=interpolations needs two images, but val has 1\.$"):
        PICTURES["interpolations"]().draw(context(gaussian_vae(), 1))


def test_reconstructions_show_the_first_images_or_evenly_spaced_ones() -> None:
    vae, split = gaussian_vae(), images()
    for places, evenly_spaced in ((torch.arange(10), False), (torch.arange(0, 30, 3), True)):
        expected = reconstructions(vae, split.images[places] * torch.tensor(1 / 255), c=split.labels[places])
        given = PictureContext(vae, images, evenly_spaced=evenly_spaced)
        drawn = ReconstructionsPicture(count=10).draw(given)
        assert np.array_equal(to_array(drawn), to_array(expected))
