"""The film of a training run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.running import Runner
from vae_lightning.data.images import Images
from vae_lightning.errors import RunError
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.plots.film import read_frames, training_film
from vae_lightning.training.callbacks.film import Film, due


def test_frames_are_due_after_each_of_the_first_epochs_and_ever_fewer_later() -> None:
    epochs = [epoch for epoch in range(1, 1001) if due(epoch, 40)]
    assert epochs[:20] == list(range(1, 21))
    gaps = np.diff(epochs)
    assert gaps[-1] > 50
    assert sum(100 < epoch <= 1000 for epoch in epochs) == 40


def frame(shade: int, latent_dim: int) -> dict[str, np.ndarray]:
    images = np.full((12, 1, 5, 4), shade, np.uint8)
    codes = np.random.default_rng(shade).normal(size=(30, latent_dim)).astype(np.float16)
    labels = np.arange(30, dtype=np.int16) % 3
    return {"x": images, "reconstructions": images, "samples": images, "codes": codes, "labels": labels, "elbo": np.array(-1.5)}


@pytest.mark.parametrize("latent_dim", [1, 2, 5])
def test_a_film_has_every_frame_and_stays_on_the_last(tmp_path: Path, latent_dim: int) -> None:
    frames = {1: frame(0, latent_dim), 2: frame(120, latent_dim), 5: frame(250, latent_dim)}
    with Image.open(training_film(frames, tmp_path / "film.gif", seconds=3.0)) as film:
        assert film.n_frames == 3  # type: ignore[attr-defined]
        durations = []
        for i in range(3):
            film.seek(i)
            durations.append(film.info["duration"])
            shown = np.asarray(film.convert("L"))
            assert (np.abs(shown.astype(int) - [0, 120, 250][i]) < 12).mean() > 0.05
    assert durations == [1000, 1000, 3000]


def test_a_frame_shows_images_from_all_over_the_split() -> None:
    images = torch.arange(60, dtype=torch.uint8).view(60, 1, 1, 1).expand(60, 1, 3, 2)
    vae = VAE(MLP([4]), Diagonal(2), StandardNormal(2), Bernoulli((1, 3, 2)))
    frame = Film(images=4, codes=60).frame(vae, Images(images, torch.zeros(60, dtype=torch.int64)), torch.device("cpu"))
    assert frame["x"][:, 0, 0, 0].tolist() == [0, 15, 30, 45]


def test_a_run_keeps_frames_and_generate_makes_the_film(runner: Runner) -> None:
    folder = runner.trained("model.hidden=[16]", "latent_dim=3", "trainer.max_epochs=3", "trainer.limit_train_batches=2")
    assert sorted(read_frames(folder)) == [1, 2, 3]
    outcome = runner("generate", f"run={folder}", "what=training_film")
    assert outcome.status == 0, outcome.err
    assert (folder / "generated" / "training_film.gif").stat().st_size < 1_000_000
    (folder / "film" / "000002.npz").write_bytes(b"PK")
    with pytest.raises(RunError, match="damaged"):
        read_frames(folder)


def test_without_frames_the_film_says_what_to_do(runner: Runner) -> None:
    folder = runner.trained("model.hidden=[16]", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks=minimal")
    outcome = runner("generate", f"run={folder}", "what=training_film")
    assert outcome.status == 1
    assert "callbacks=default" in outcome.err
