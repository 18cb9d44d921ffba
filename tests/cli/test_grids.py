"""A grid of codes in every command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from tests.running import Runner
from vae_lightning.runs import folder as runs

GRID = (
    *("model=unet_kl", "model.channels=[4,8]", "model.groups=2", "posterior.grid=auto", "latent_dim=2"),
    *("trainer.limit_train_batches=3", "trainer.limit_val_batches=1", "logger=none"),
)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return runs.load(folder).state_dict()


def test_every_command_works_on_a_grid(runner: Runner) -> None:
    folder = runner.trained(*GRID, "trainer.max_epochs=1")
    assert OmegaConf.load(folder / "config.yaml").posterior.grid == [7, 7]
    assert "z 2×7×7" in (folder / "run.log").read_text()
    drawn = {path.stem for path in (folder / "figures").glob("*")}
    assert {"samples", "traversals", "kl_per_dimension", "kl_map", "latent_scatter"} <= drawn
    assert runs.load(folder).code_shape == (2, 7, 7)
    outcome = runner("evaluate", f"run={folder}", "nll.samples=2", "nll.images=10")
    assert outcome.status == 0, outcome.err
    test = json.loads((folder / "results.json").read_text())["test"]
    assert sum(test["kl_per_dimension"]) == pytest.approx(test["kl"], rel=1e-4)
    assert len(test["kl_per_dimension"]) == 98
    for command in ("generate", "explore"):
        outcome = runner(command, f"run={folder}")
        assert outcome.status == 0, outcome.err
    assert (folder / "generated" / "kl_map.png").exists()


def test_a_grid_is_resumed_bit_for_bit(runner: Runner) -> None:
    common = (*GRID, "prior=mixture", "trainer.max_epochs=2", "callbacks=minimal", "lr_schedule=none")
    whole = runner.trained(*common)
    half = runner.trained(*common, "trainer.max_steps=3")
    assert any(not torch.equal(weight, weights(half)[name]) for name, weight in weights(whole).items())
    resumed = runner("train", f"resume={half}", "trainer.max_steps=-1")
    assert resumed.status == 0, resumed.err
    for name, weight in weights(whole).items():
        assert torch.equal(weight, weights(half)[name]), name


def test_weights_are_exported_with_shapes_and_scale(runner: Runner) -> None:
    pytest.importorskip("safetensors", reason="the extra export is not installed")
    folder = runner.trained(*GRID, "trainer.max_epochs=1", "callbacks=minimal")
    outcome = runner("export", f"run={folder}", "formats=[safetensors]", "scale_images=50")
    assert outcome.status == 0, outcome.err
    assert {path.name for path in (folder / "exported").iterdir()} == {"vae.safetensors", "README.md"}
    text = (folder / "exported" / "README.md").read_text()
    assert "| code z | (2, 7, 7) |" in text
    assert "measured on 50 training images" in text
    assert 0.1 < float(text.partition("scaling_factor: ")[2].split()[0]) < 10
    outcome = runner("export", f"run={folder}", "formats=[safetensors]", "data.root=nowhere", "scale_images=1")
    assert outcome.err == "error: scale_images=1: must be an integer of at least 2.\n"


def test_settings_of_the_scale_are_refused_without_a_grid(runner: Runner) -> None:
    folder = runner.trained("model.hidden=[8]", *GRID[5:], "trainer.max_epochs=1", "callbacks=minimal")
    outcome = runner("export", f"run={folder}", "formats=[safetensors]", "scale_images=5")
    assert outcome.status == 2
    assert outcome.err.startswith(
        "error: scale_images=5 would have no effect: only formats=safetensors of a run with posterior.grid"
    )


WRONG = [
    ("model=mlp posterior.grid=auto", "posterior.grid=auto is incompatible with this model, which has no grid of codes"),
    ("model=conv posterior.grid=[4,4]", "posterior.grid=[4,4]: must be [7,7]"),
    ("model=resnet model.channels=[4,4,4] posterior.grid=auto", "an image of 28×28 cannot be halved 3 times without a remainder"),
    ("posterior=flow posterior.grid=[7,7]", "The options of posterior that have it: delta, diagonal."),
    (
        "posterior=joint posterior.continuous.grid=[7,7]",
        "posterior.continuous.grid=[7,7]: must be null: a joint code is a vector.",
    ),
    ("model=unet_kl model.groups=7", "model.groups=7: must be a divisor of each of model.channels, [32, 64]."),
]


@pytest.mark.parametrize(("line", "sentence"), WRONG, ids=[line for line, _ in WRONG])
def test_what_makes_no_grid_is_one_sentence(runner: Runner, line: str, sentence: str) -> None:
    outcome = runner("train", *line.split(), "trainer.max_epochs=1")
    assert outcome.status == 2
    assert sentence in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
