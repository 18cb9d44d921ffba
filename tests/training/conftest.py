"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end without drawing pictures, which takes longer than training them."""
    monkeypatch.setattr("vae_lightning.training.finish.draw_pictures", lambda *_: {})
