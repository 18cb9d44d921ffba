"""A run that the tests of a module share, trained by `vl.train` in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import vae_lightning as vl

TINY: tuple[str, ...] = (
    "model.hidden=[16]",
    "trainer.max_epochs=1",
    "trainer.limit_train_batches=3",
    "callbacks=minimal",
    "logger=none",
    "latent_dim=2",
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> vl.Run:
    return vl.train(*TINY, f"output_dir={tmp_path_factory.mktemp('shared')}", data="mnist5k")
