"""`vl.train(data=x, labels=y)`: arrays are kept in the run folder, where evaluate and resume find them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vae_lightning as vl
from tests.api.conftest import TINY
from vae_lightning.api import given_arrays
from vae_lightning.config.builtin import conf_dir
from vae_lightning.data.images import Images

pytestmark = pytest.mark.skipif(not (conf_dir() / "data" / "arrays.yaml").exists(), reason="there is no data=arrays yet")
SMALL = (*TINY, "data.batch_size=20")


@pytest.fixture(scope="module")
def digits(mnist5k: dict[str, Images]) -> tuple[np.ndarray, np.ndarray]:
    test = mnist5k["test"]
    return test.images[:200, 0].numpy(), test.labels[:200].numpy()


def test_a_run_keeps_its_arrays_and_finds_them_again(
    digits: tuple[np.ndarray, np.ndarray], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = digits
    run = vl.train(*SMALL, "lr_schedule=none", data=images, labels=labels)
    kept = run.folder / "data"
    assert sorted(path.name for path in kept.iterdir()) == ["images.npy", "labels.npy"]
    assert np.array_equal(np.load(kept / "images.npy"), images)
    assert run.config.data.images == str(kept / "images.npy")
    assert run.config.choices.data == "arrays"
    assert f"data.labels='{kept / 'labels.npy'}'" in run.config.overrides
    assert [path.name for path in folder.glob("outputs/.*")] == []
    assert all("outputs/.data" not in (run.folder / name).read_text() for name in ("config.yaml", "run.log"))
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert vl.evaluate(run.folder, measures=[])["elbo"] == pytest.approx(run.results["test"]["elbo"])
    assert vl.train(f"resume={run.folder}", "trainer.max_epochs=2").results["steps"] == 6
    assert run.figure("interpolations", rows=1).size[0] > 10


@pytest.mark.parametrize("kind", ["tensor", "floats", "bfloat16", "channels", "lists"])
def test_the_same_images_in_another_form_train_the_same_run(
    kind: str, digits: tuple[np.ndarray, np.ndarray], folder: Path
) -> None:
    images, labels = digits[0][:80], digits[1][:80]
    binary = np.where(images > 127, 255, 0).astype(np.uint8)
    forms: dict[str, Any] = {
        "tensor": torch.from_numpy(binary),
        "floats": binary.astype(np.float32) / 255,
        "bfloat16": (torch.from_numpy(binary) / 255).bfloat16(),
        "channels": binary[:, None],
        "lists": binary.tolist(),
    }
    given: Any = torch.from_numpy(labels) if kind == "tensor" else labels.tolist()
    run = vl.train(*SMALL, "likelihood=bernoulli", data=forms[kind], labels=given)
    reference = vl.train(*SMALL, "likelihood=bernoulli", data=binary, labels=labels)
    assert run.results["test"] == reference.results["test"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"data": np.full((30, 8, 8), np.nan, np.float32)}, "NaN"),
        ({"data": np.zeros((30, 8, 8), np.uint8), "labels": [0] * 20}, "30 images"),
        ({"data": np.array([object()])}, "data=ndarray of object: must be an array or a tensor of numbers"),
        ({"data": np.ma.masked_less(np.ones((30, 8, 8)), 2)}, "data=MaskedArray: must be an array without masked values"),
        ({"data": [[1, 2], [3]]}, "data="),
        ({"data": 5}, "must be an array or a tensor of numbers"),
        ({"labels": [1, 2]}, "labels belongs to images"),
        ({"data": "mnist5k", "targets": [1.0]}, "targets belongs to images"),
    ],
)
def test_refused_arrays_leave_nothing_behind(more: dict[str, Any], message: str, folder: Path) -> None:
    with pytest.raises(vl.UserError, match=message) as error:
        vl.train(*TINY, "output_dir=made/here", **more)
    assert ".data_" not in str(error.value)
    assert list(folder.iterdir()) == []


def test_data_are_given_once(digits: tuple[np.ndarray, np.ndarray], run: vl.Run) -> None:
    with pytest.raises(vl.UserError, match="data=mnist5k cannot be combined with the argument data"):
        vl.train("data=mnist5k", data=digits[0])
    with pytest.raises(vl.UserError, match="continues with the run's own data"):
        vl.train(f"resume={run.folder}", data=digits[0])


def test_large_arrays_are_to_be_a_file(
    digits: tuple[np.ndarray, np.ndarray], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given_arrays, "LARGEST", 100_000)
    with pytest.raises(vl.UserError, match=r'data has 0\.0 GB, .* write it to a file with numpy\.save\("images\.npy", data\)'):
        vl.train(data=digits[0])
    assert list(folder.iterdir()) == []
