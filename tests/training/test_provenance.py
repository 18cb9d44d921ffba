"""What `results.json` says about software and hardware."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch

from vae_lightning.training import provenance
from vae_lightning.version import __version__


def test_versions_are_known_where_the_package_runs_from_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        if name == "vae-lightning":
            raise PackageNotFoundError(name)
        return f"version of {name}"

    monkeypatch.setattr(provenance, "version", installed)
    found = provenance.versions()
    assert (found["vae-lightning"], found["torch"]) == (__version__, "version of torch")


def test_the_processor_and_its_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    facts = tmp_path / "cpuinfo"
    facts.write_text("processor\t: 0\nmodel name\t: Abacus 3000 @ 2 Hz\n\nprocessor\t: 1\nmodel name\t: Other\n")
    monkeypatch.setattr(provenance, "CPU_INFO", facts)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert provenance.hardware(torch.device("cpu")) == "Abacus 3000 @ 2 Hz, 2 threads"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(provenance, "CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    assert provenance.hardware(torch.device("cpu")) == "arm64, 1 thread"


def test_a_gpu_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    assert provenance.hardware(torch.device("cuda", 1)) == "GPU 1"
