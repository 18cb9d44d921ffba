"""Pictures of a run, drawn from Python."""

from __future__ import annotations

from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from tests.running import REPOSITORY, SHORT, train_once
from vae_lightning.errors import UserError
from vae_lightning.evaluation.settings import build_settings
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.plots.pictures.manifold_picture import ManifoldPicture
from vae_lightning.plots.pictures.reconstructions_picture import ReconstructionsPicture
from vae_lightning.plots.pictures.samples_picture import SamplesPicture
from vae_lightning.runs.draw import draw_run
from vae_lightning.runs.folder import find_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_once(tmp_path_factory.mktemp("run"), *SHORT, "logger=none")


def test_default_settings_are_those_of_the_configuration() -> None:
    config = OmegaConf.load(REPOSITORY / "conf" / "generate.yaml")
    assert isinstance(config, DictConfig)
    offered = {name: picture for name, picture in PICTURES.items() if picture.in_generate}
    for name, picture in offered.items():
        assert build_settings(picture, name, config[name]) == picture(), name


def test_a_run_is_drawn_from_python(run: Path, tmp_path: Path) -> None:
    made = draw_run(find_run(run), [SamplesPicture(rows=2), ReconstructionsPicture(count=10)], tmp_path, device="cpu")
    assert made == [tmp_path / "samples.png", tmp_path / "reconstructions.png"]
    assert all(path.stat().st_size > 0 for path in made)


def test_by_default_everything_is_drawn_that_the_run_can_have(run: Path) -> None:
    made = draw_run(find_run(run))
    assert {path.stem for path in made} == {name for name, picture in PICTURES.items() if picture.in_generate} - {
        "manifold",
        "kl_map",
        "training_film",
    }
    assert {path.parent for path in made} == {run / "generated"}


def test_what_the_run_cannot_have_is_named(run: Path) -> None:
    with pytest.raises(UserError, match=r"what=manifold draws a two-dimensional latent space, and this run has latent_dim=3\."):
        draw_run(find_run(run), [ManifoldPicture()])
    with pytest.raises(UserError, match=r"samples\.label=1 would have no effect: this run has condition=none"):
        draw_run(find_run(run), [SamplesPicture(label=1)])
