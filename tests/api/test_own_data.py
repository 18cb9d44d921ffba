"""One's own data from training to evaluation: files that change or move, missing labels, targets, sweeps of arrays."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import vae_lightning as vl
from tests.api.conftest import TINY
from tests.data.pictures import write_classes
from vae_lightning.data.images import Images
from vae_lightning.evaluation.settings import build_settings
from vae_lightning.plots.pictures import PICTURES
from vae_lightning.runs.folder import find_run
from vae_lightning.runs.load_images import load_data

SMALL = (*TINY, "data.batch_size=20")
KINDS = {
    "binary": (np.arange(30 * 64).reshape(30, 8, 8) % 7 > 3).astype(np.uint8),
    "grey": (np.arange(30 * 35).reshape(30, 7, 5) % 251).astype(np.uint8),
    "colour": (np.arange(30 * 192).reshape(30, 8, 8, 3) % 253).astype(np.uint8),
    "signals": np.sin(np.arange(30 * 33, dtype=np.float32)).reshape(30, 33),
    "table": np.sin(np.arange(30 * 3, dtype=np.float32)).reshape(30, 3),
    "one column": np.sin(np.arange(30, dtype=np.float32)),
}
LIKELIHOODS = {"binary": "bernoulli", "grey": "discretized_logistic", "colour": "discretized_logistic"}


@pytest.fixture(scope="module")
def digits(mnist5k: dict[str, Images]) -> tuple[np.ndarray, np.ndarray]:
    train = mnist5k["train"]
    return train.images[:1000, 0].numpy(), train.labels[:1000].numpy()


def files(folder: Path, images: np.ndarray, **more: np.ndarray) -> list[str]:
    """Write arrays into a folder, and return the overrides that name them."""
    folder.mkdir(exist_ok=True)
    for name, array in {"images": images, **more}.items():
        np.save(folder / f"{name}.npy", array)
    return ["data=arrays", *(f"data.{name}={folder.name}/{name}.npy" for name in ("images", *more))]


@pytest.mark.parametrize("model", ["mlp", "conv", "resnet"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_model_takes_every_kind_of_data(model: str, kind: str, folder: Path) -> None:
    quick = [text for text in SMALL if not text.startswith("model.hidden")]
    run = vl.train(*quick, f"model={model}", "trainer.limit_train_batches=1", data=KINDS[kind])
    assert run.config.choices.likelihood == LIKELIHOODS.get(kind, "gaussian_optimal")
    assert np.isfinite(run.results["test"]["elbo"])
    assert run.vae.sample(2).shape[1:] == run.data_spec.shape


def test_files_that_change_are_read_anew_in_the_same_process(folder: Path) -> None:
    texts = files(folder / "x", KINDS["grey"])
    means = []
    for images in (KINDS["grey"], 255 - KINDS["grey"]):
        files(folder / "x", images)
        means.append(vl.train(*SMALL, *texts).data_spec.mean)
    assert means[0] + means[1] == pytest.approx(1, abs=0.05)
    assert means[0] != means[1]


def test_pictures_that_are_added_are_noticed_in_the_same_process(folder: Path) -> None:
    root = write_classes(folder / "pictures")
    texts = ("data=folder", f"data.root={root}", "data.cache=cache")
    assert vl.train(*SMALL, *texts).data_spec.classes == 2
    write_classes(root, ("owl",))
    run = vl.train(*SMALL, *texts)
    assert run.data_spec.class_names == ("cat", "dog", "owl")
    (root / "owl" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(vl.UserError, match=r"owl/broken\.png is broken"):
        vl.evaluate(run, measures=[])


def test_images_without_a_label_are_left_out_of_what_reads_labels(digits: tuple[np.ndarray, np.ndarray], folder: Path) -> None:
    images, labels = digits
    half = np.where(np.arange(len(labels)) % 2, labels, -1)
    run = vl.train(
        *TINY[1:], "model.hidden=[64]", "trainer.limit_train_batches=null", "trainer.max_epochs=8", data=images, labels=half
    )
    values = vl.evaluate(run, measures=["probes", "samples"], samples={"images": 100})
    known = load_data(run).splits()["test"].labels
    chance = torch.bincount(known[known >= 0]).max() / (known >= 0).sum()
    assert values["chance_accuracy"] < 0.25
    assert abs(values["chance_accuracy"] - float(chance)) < 0.15
    assert values["linear_probe_accuracy"] > values["chance_accuracy"] + 0.15
    assert {name for name in values if "nan" in str(values[name])} == set()


def test_no_label_at_all_is_a_sentence_where_labels_are_needed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = vl.train(*SMALL, data=KINDS["grey"], labels=np.full(30, -1))
    assert "knn_accuracy" not in vl.evaluate(run, measures=["probes"])
    assert "Probes were not measured: the training images have fewer than two labels." in capsys.readouterr().out


@pytest.mark.parametrize("command", ["evaluate", "generate"])
def test_arrays_that_have_moved(command: str, folder: Path) -> None:
    rows = np.arange(30)
    texts = files(folder / "x", KINDS["grey"], labels=rows % 3, targets=rows * 0.5)
    run = vl.train(*SMALL, *texts)
    elbo = run.results["test"]["elbo"]
    shutil.move(folder / "x", folder / "elsewhere")
    moved = {name: str(folder / "elsewhere" / f"{name}.npy") for name in ("images", "labels", "targets")}
    given: dict[str, str] = {}
    for name in moved:  # each file that is missing is named
        with pytest.raises(vl.UserError, match=rf"^data\.{name}: there is no file {re.escape(str(folder))}/x/{name}\.npy; if it"):
            measure_or_draw(run, command, given)
        given[name] = moved[name]
    found = measure_or_draw(run, command, given)
    assert found == (pytest.approx(elbo) if command == "evaluate" else True)


def measure_or_draw(run: vl.Run, command: str, moved: dict[str, str]) -> Any:
    from vae_lightning.runs.draw import choose_pictures, prepare_drawing, save_pictures_of

    if command == "evaluate":
        return vl.evaluate(run, measures=[], data=moved)["elbo"]
    context = prepare_drawing(find_run(run.folder), "test", moved, "cpu", seed=0)
    return bool(
        save_pictures_of(
            context,
            choose_pictures(context, [build_settings(PICTURES["reconstructions"], "reconstructions", {})]),
            run.folder / "generated",
        )
    )


def test_a_folder_that_has_moved(folder: Path) -> None:
    root = write_classes(folder / "pictures")
    run = vl.train(*SMALL, "data=folder", f"data.root={root}", "data.cache=cache")
    root.rename(folder / "moved")
    with pytest.raises(vl.UserError, match=rf"^data\.root={re.escape(str(root))}: there is no such folder; set data\.root"):
        vl.evaluate(run, measures=[])
    values = vl.evaluate(run, measures=["probes"], data={"root": "moved"})
    assert values["elbo"] == pytest.approx(run.results["test"]["elbo"])


def test_targets_stay_with_their_images_through_a_run(folder: Path) -> None:
    images = np.repeat(np.arange(30, dtype=np.uint8), 16).reshape(30, 4, 4) * 5
    run = vl.train(*SMALL, data=images, targets=np.arange(30) * 10.0)
    splits = load_data(run).splits()
    for name, split in splits.items():
        assert split.targets is not None
        assert split.targets.shape == (24 if name == "train" else 3, 1)
        assert torch.equal(split.targets[:, 0], split.images[:, 0, 0, 0].float() * 2)


def test_a_loaded_vae_and_an_objective_refuse_what_it_was_not_trained_on(folder: Path) -> None:
    run = vl.train(*SMALL, data=KINDS["binary"])
    vae = vl.load(run.folder)
    x = torch.from_numpy(KINDS["binary"][:4]).unsqueeze(1).float()
    vae.encode(x)
    objective = vl.objectives.Objective()
    standardised = (x - 0.13) / 0.31
    for call in (vae, vae.encode, vae.elbo, vae.reconstruct, lambda x: objective(vae, x)):
        for wrong, sentence in {
            x * 255: r"values from 0 to 255: they must be pixels in \[0, 1\]; divide by 255",
            x.byte(): r"x is uint8: it must be float values in \[0, 1\]",
            standardised: r"they must be pixels in \[0, 1\]",
            x[:, 0]: r"shape \(4, 8, 8\): it must be \(batch, 1, 8, 8\)",
            x.transpose(0, 1): r"it must be \(batch, 1, 8, 8\)",
            x[..., :7]: r"it must be \(batch, 1, 8, 8\)",
        }.items():
            with pytest.raises(vl.UserError, match=sentence):
                call(wrong)


def test_a_sweep_of_arrays_keeps_them_once_and_is_resumed(folder: Path) -> None:
    runs = vl.sweep(*SMALL, "beta=1,2", data=KINDS["grey"], labels=np.arange(30) % 3)
    (sweep,) = folder.glob("outputs/sweeps/arrays-mlp/*")
    assert sorted(path.name for path in (sweep / "data").iterdir()) == ["images.npy", "labels.npy"]
    assert {run.config.data.images for run in runs} == {str(sweep / "data" / "images.npy")}
    assert [run.config.beta for run in runs] == [1, 2]
    assert all(run.data_spec.classes == 3 for run in runs)
    assert [run.folder for run in vl.sweep(f"resume_sweep={sweep}")] == [run.folder for run in runs]
    assert np.isfinite(vl.evaluate(runs[1], measures=["probes"])["linear_probe_accuracy"])


@pytest.mark.parametrize(
    ("overrides", "more", "message"),
    [
        (("beta=1,2", "data=mnist5k"), {"data": KINDS["grey"]}, "data=mnist5k cannot be combined with the argument data"),
        (("resume_sweep=outputs",), {"data": KINDS["grey"]}, "continues with the sweep's own data"),
        (("beta=1,2",), {"labels": [1]}, "labels belongs to images"),
        (("beta=1,2",), {"data": [object()]}, "must be an array or a tensor of numbers"),
        (("nokey=1,2",), {"data": KINDS["grey"]}, "unknown key 'nokey'"),
    ],
)
def test_a_sweep_of_arrays_that_cannot_start_leaves_nothing(
    overrides: tuple[str, ...], more: dict[str, Any], message: str, folder: Path
) -> None:
    with pytest.raises(vl.UserError, match=message):
        vl.sweep(*TINY, *overrides, **more)
    assert list(folder.iterdir()) == []
