"""What TensorBoard's projector gets: codes, labels and thumbnails, in the same order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vae_lightning.data.images import Images
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.plots.projector import write_projection


@pytest.mark.parametrize("shape", [(1, 6, 4), (3, 6, 4), (2, 6, 4)])
def test_codes_labels_and_thumbnails_go_together(shape: tuple[int, int, int], tmp_path: Path) -> None:
    google = pytest.importorskip("google.protobuf.text_format")
    from tensorboard.plugins.projector import ProjectorConfig

    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (9, *shape), generator=generator, dtype=torch.uint8)
    vae = VAE(MLP(hidden=(8,)), Diagonal(3), StandardNormal(3), Gaussian(shape))
    split = Images(images, torch.tensor([3, 1, 4, 1, -1, 9, 2, 6, 5]))
    config = google.Parse(write_projection(vae, split, tmp_path, 7).read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    codes = np.loadtxt(tmp_path / embedding.tensor_path)
    expected = vae.encode(images[:7].float() / 255, split.labels[:7]).mean.detach().numpy()
    np.testing.assert_allclose(codes, expected, rtol=1e-4)
    assert (tmp_path / embedding.metadata_path).read_text().split("\n") == ["3", "1", "4", "1", "none", "9", "2"]
    sheet = np.asarray(Image.open(tmp_path / embedding.sprite.image_path))
    width, height = embedding.sprite.single_image_dim
    assert (height, width) == (6, 8 if shape[0] == 2 else 4)
    assert sheet.shape[:2] == (3 * height, 3 * width)
    shown = images.permute(0, 2, 1, 3).flatten(2) if shape[0] == 2 else images.permute(0, 2, 3, 1).squeeze(-1)
    for n, image in enumerate(shown[:7].numpy()):
        top, left = n // 3 * height, n % 3 * width
        assert (sheet[top : top + height, left : left + width] == image).all(), n


def test_labels_have_the_names_of_their_classes(tmp_path: Path) -> None:
    vae = VAE(MLP(hidden=(8,)), Diagonal(3), StandardNormal(3), Gaussian((1, 6, 4)))
    split = Images(torch.zeros(3, 1, 6, 4, dtype=torch.uint8), torch.tensor([1, -1, 0]))
    write_projection(vae, split, tmp_path, 3, ("cat", "a\tdog"))
    assert (tmp_path / "projector" / "labels.tsv").read_text().split("\n") == ["a dog", "none", "cat"]
