"""Showing images with any number of channels."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from vae_lightning.plots.displayable import displayable
from vae_lightning.reports.sweep.image_strips import data_uri


@pytest.mark.parametrize("channels", [1, 3])
def test_grey_and_coloured_images_stay_as_they_are(channels: int) -> None:
    images = torch.rand(2, channels, 4, 5)
    assert displayable(images) is images


def test_other_channels_stand_side_by_side() -> None:
    images = torch.arange(2 * 2 * 3 * 4).view(2, 2, 3, 4)
    assert torch.equal(displayable(images), torch.cat([images[:, :1], images[:, 1:]], dim=-1))
    assert np.array_equal(displayable(images.numpy()), displayable(images).numpy())


def test_a_report_shows_images_of_two_channels() -> None:
    images = torch.rand(3, 2, 4, 5)
    picture = Image.open(io.BytesIO(base64.b64decode(data_uri(images).removeprefix("data:image/png;base64,"))))
    expected = torch.cat([image[k] for image in images for k in range(2)], dim=-1).mul(255).round()
    assert np.array_equal(np.asarray(picture), expected.to(torch.uint8).numpy())
