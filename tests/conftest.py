"""What several tests need: the seed, the bundled data, and the real MNIST files if they are present."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.running import Runner
from vae_lightning.data.images import Images
from vae_lightning.data.mnist5k import MNIST5k

torch.set_num_threads(1)  # the tensors here are small, and threads that wait for each other take ten times as long as the work
DATA_ROOT = Path(os.environ.get("VAE_DATA") or Path(__file__).parents[1] / "../shared/data")


@pytest.fixture(autouse=True, scope="session")
def _own_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sign the runs of tests with a key of their own, not the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip garbage collection before each short run: in a process as large as the tests', it takes a third of a second."""
    monkeypatch.setattr("vae_lightning.training.overhead.collect", lambda: 0)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="session")
def mnist5k() -> dict[str, Images]:
    return MNIST5k().splits()


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of the real MNIST and FashionMNIST files."""
    if not (DATA_ROOT / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").exists():
        pytest.skip(f"the MNIST files are not in {DATA_ROOT} (set VAE_DATA to the folder that holds MNIST/raw)")
    return DATA_ROOT


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Runner:
    """Runs commands in an empty folder."""
    return Runner(monkeypatch, capsys, tmp_path)
