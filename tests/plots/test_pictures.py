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
from vae_lightning.evaluation.elbo import SplitSums
from vae_lightning.models import VAE
from vae_lightning.models.architectures import MLP, ResNet
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import CategoricalPosterior, Diagonal
from vae_lightning.models.priors import StandardNormal, UniformCategorical
from vae_lightning.plots.context import PictureContext
from vae_lightning.plots.images import reconstructions, to_array, traversals
from vae_lightning.plots.latents import kl_bars
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.plots.pictures.reconstructions_picture import ReconstructionsPicture
from vae_lightning.plots.pictures.traversals_picture import TraversalsPicture

SHAPE = (1, 6, 5)


def images(count: int = 30, shape: tuple[int, ...] = SHAPE) -> Images:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % 3)


def gaussian_vae(latent_dim: int = 2) -> VAE:
    torch.manual_seed(0)
    return VAE(MLP([8]), Diagonal(latent_dim), StandardNormal(latent_dim), Bernoulli(SHAPE))


def grid_vae() -> VAE:
    torch.manual_seed(0)
    return VAE(ResNet([4]), Diagonal(2, (3, 2)), StandardNormal(2, (3, 2)), Bernoulli((1, 6, 4)))


def context(vae: VAE, count: int = 30) -> PictureContext:
    return PictureContext(vae, lambda: images(count, vae.shape), load_kl=lambda: [0.5] * vae.latent_dim, active_units=1)


@pytest.mark.parametrize("name", [name for name in PICTURES if name != "training_film"])
def test_every_picture_is_saved(name: str, tmp_path: Path) -> None:
    """For the film, see tests/plots/test_film.py."""
    path = PICTURES[name]().save(context(grid_vae() if name == "kl_map" else gaussian_vae()), tmp_path)
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
        "kl_map",
    }
    assert [name for name, picture in PICTURES.items() if not picture.fits(gaussian_vae(3))] == ["kl_map", "manifold"]
    with pytest.raises(UserError, match=r"^what=traversals is incompatible with posterior=categorical: it needs latents"):
        PICTURES["traversals"]().check(discrete)
    with pytest.raises(UserError, match=r"^what=manifold draws a two-dimensional latent space, and this run has latent_dim=3"):
        PICTURES["manifold"]().check(gaussian_vae(3))
    with pytest.raises(UserError, match=r"^what=kl_map draws a grid of codes, and this run has a vector"):
        PICTURES["kl_map"]().check(gaussian_vae())
    with pytest.raises(UserError, match=r"^what=manifold .* this run has a code of 12 numbers on a grid\.$"):
        PICTURES["manifold"]().check(grid_vae())
    PICTURES["kl_map"]().check(grid_vae())
    for name, picture in PICTURES.items():
        if name != "kl_map":
            picture().check(gaussian_vae())


def test_pictures_of_a_grid_are_of_channels_and_sites() -> None:
    vae, x = grid_vae(), torch.rand(1, 6, 4)
    by_kl = traversals(vae, x, [float(j == 9) for j in range(12)], most=3)
    assert by_kl.axes[0].texts[0].get_text() == "z₂(2,2)  1.0 nats"  # 9 = channel 1, site 3 of 3×2
    unsorted = traversals(vae, x, None)
    assert [text.get_text() for text in unsorted.axes[0].texts] == ["z₁(2,2)", "z₂(2,2)"]
    bars = kl_bars([float(j) for j in range(12)], 1, (3, 2)).axes[0]
    assert [patch.get_height() for patch in bars.patches] == [51.0, 15.0]  # type: ignore[attr-defined]  # 6 + … + 11 and 0 + … + 5
    assert bars.get_title() == "KL per channel, summed over 3×2 sites: 1 of 2 are active"
    drawn = PICTURES["kl_map"](count=4).draw(context(vae))  # type: ignore[call-arg]
    maps = [np.asarray(ax.images[0].get_array()) for ax in drawn.axes[4:8]]
    shown, _ = context(vae).first(4)
    q = vae.encode(shown)
    kl = 0.5 * (q.mean**2 + q.stddev**2 - 1) - q.stddev.log()  # type: ignore[attr-defined]
    assert np.allclose(np.stack(maps), kl.view(4, 2, 3, 2).sum(1).detach().numpy(), atol=1e-5)


def test_a_channel_is_active_if_it_is_at_one_site() -> None:
    sums = SplitSums(6, "val")
    means = torch.zeros(10, 6, dtype=torch.float64)
    means[:, 4] = torch.arange(10) % 2
    sums.sums[0] = 10
    sums.sums[3 + 6 :] = torch.cat([means.sum(0), means.square().sum(0)])
    assert sums.active_channels((1, 2)) == 1
    assert sums.active_channels((1, 1)) == 1
    assert sums.active_channels((2, 3)) == 1
    means[:, 0] = means[:, 4]
    sums.sums[3 + 6 :] = torch.cat([means.sum(0), means.square().sum(0)])
    assert sums.active_channels((1, 2)) == 2


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
