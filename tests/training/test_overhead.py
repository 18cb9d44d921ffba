"""What is turned off during training is turned on again afterwards, and a machine with a GPU keeps its check."""

from __future__ import annotations

import gc
import os

import pytest
import torch

from vae_lightning.training.overhead import NVML_CHECK, NoProfiler, low_overhead


@pytest.mark.parametrize("before", [None, "1"])
def test_all_is_as_before_even_after_an_error(monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv(NVML_CHECK, raising=False)
    if before is not None:
        monkeypatch.setenv(NVML_CHECK, before)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    frozen = gc.get_freeze_count()

    def fail() -> None:
        with low_overhead():
            assert os.environ[NVML_CHECK] == "0"
            assert gc.get_freeze_count() > frozen
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert os.environ.get(NVML_CHECK) == before
    assert gc.get_freeze_count() == 0


def test_with_a_gpu_the_driver_is_not_initialised_by_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without NVML, asking for a GPU initialises its driver, and processes forked afterwards cannot use it."""
    monkeypatch.setenv(NVML_CHECK, "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with low_overhead():
        assert os.environ[NVML_CHECK] == "1"


def test_no_profiler_makes_no_context_for_each_action() -> None:
    profiler = NoProfiler()
    assert profiler.profile("a") is profiler.profile("b")
