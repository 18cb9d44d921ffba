"""Exported files give what torch gives."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.running import SHORT, Runner
from vae_lightning import load
from vae_lightning.errors import RunError
from vae_lightning.models.architectures import Conv, ResNet
from vae_lightning.models.likelihoods import Gaussian
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE

ort = pytest.importorskip("onnxruntime", reason="the extra export is not installed")
exporting = pytest.importorskip("vae_lightning.models.export")


def test_a_run_is_exported_and_both_files_answer_as_torch_does(runner: Runner) -> None:
    folder = runner.trained(*SHORT)
    outcome = runner("export", f"run={folder}")
    assert outcome.status == 0, outcome.err
    made = {path.name for path in (folder / "exported").iterdir()}
    assert made == {"encoder.onnx", "decoder.onnx", "vae.safetensors"}
    assert all(name in outcome.out for name in made)
    vae, z = load(folder), torch.randn(7, 3)
    session = ort.InferenceSession(str(folder / "exported" / "decoder.onnx"))
    (image,) = session.run(["image"], {"z": z.numpy()})
    torch.testing.assert_close(torch.from_numpy(image), vae.decode(z).mean, atol=1e-5, rtol=0)
    x = torch.rand(3, 1, 28, 28)
    (code,) = ort.InferenceSession(str(folder / "exported" / "encoder.onnx")).run(["code"], {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(code), vae.encode(x).mean, atol=1e-5, rtol=0)


@pytest.mark.parametrize("architecture", [Conv([4], 8), ResNet([4])])
def test_convolutions_of_odd_sizes_and_colours(tmp_path: Path, architecture: Conv | ResNet) -> None:
    vae = VAE(architecture, Diagonal(2), StandardNormal(2), Gaussian((3, 9, 6))).eval()
    assert max(exporting.to_onnx(vae, tmp_path).values()) <= 1e-5


def test_a_file_that_differs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"differs from torch by 0\.1, which is more than 1e-05"):
        exporting._checked({tmp_path / "decoder.onnx": 0.1})
    with pytest.raises(RunError, match="nan"):
        exporting._checked({tmp_path / "decoder.onnx": float("nan")})


def test_without_the_extra_it_is_named_and_no_folder_is_left(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = runner.trained(*SHORT)
    monkeypatch.setattr("vae_lightning.cli.export.find_spec", lambda name: None if name == "onnxscript" else name)
    outcome = runner("export", f"run={folder}")
    assert outcome.status == 2
    assert outcome.err == "error: formats=onnx: onnxscript is not installed: pip install 'vae-lightning[export]'.\n"
    assert not (folder / "exported").exists()


def test_an_unknown_format_is_named_with_the_nearest(runner: Runner) -> None:
    outcome = runner("export", "run=somewhere", "formats=[onxn]")
    assert outcome.status == 2
    assert outcome.err == "error: formats=onxn: unknown format. Did you mean 'onnx'? Allowed: onnx, safetensors.\n"
