"""Hierarchies and conditions as a user runs them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from omegaconf import OmegaConf

from tests.running import SHORT, Runner

VERY_SHORT = (*SHORT, "trainer.max_epochs=1", "trainer.limit_train_batches=2", "logger=none")


def test_a_conditional_ladder_is_trained_evaluated_and_drawn(runner: Runner) -> None:
    arguments = (*VERY_SHORT, "callbacks=default", "hierarchy=ladder", "condition=label", "latent_dim=2")
    folder = runner.trained(*arguments)
    assert OmegaConf.load(folder / "config.yaml").data_spec.classes == 10
    train = json.loads((folder / "results.json").read_text())["train"]
    assert train["kl_z1"] + train["kl_z2"] == pytest.approx(train["kl"], rel=1e-4)
    drawn = {path.stem for path in (folder / "figures").iterdir()}
    assert drawn == {"reconstructions", "samples", "traversals", "latent_scatter", "manifold"}

    outcome = runner("evaluate", f"run={folder}", "nll.samples=2", "nll.images=50")
    assert outcome.status == 0, outcome.err
    assert "ladder" in outcome.out
    assert "label" in outcome.out
    assert json.loads((folder / "results.json").read_text())["test"]["nll"] > 0

    outcome = runner("generate", f"run={folder}", "samples.label=7", "samples.rows=2", "manifold.label=3", "manifold.side=4")
    assert outcome.status == 0, outcome.err
    made = {path.stem for path in (folder / "generated").iterdir()}
    assert made == {"samples", "reconstructions", "traversals", "interpolations", "latent_scatter", "manifold"}
    outcome = runner("generate", f"run={folder}", "samples.label=10")
    assert (outcome.status, outcome.err) == (2, "error: samples.label=10: must be one of the classes 0 to 9.\n")


def test_a_run_from_before_there_were_hierarchies_and_classes_is_read(runner: Runner) -> None:
    folder = runner.trained(*VERY_SHORT)
    config: Any = OmegaConf.load(folder / "config.yaml")
    for node, key in ((config, "hierarchy"), (config.choices, "hierarchy"), (config.data_spec, "classes")):
        del node[key]
    OmegaConf.save(config, folder / "config.yaml")
    outcome = runner("evaluate", f"run={folder}", "nll.samples=0")
    assert outcome.status == 0, outcome.err
    outcome = runner("generate", f"run={folder}", "what=samples", "samples.label=3")
    assert outcome.status == 2
    assert outcome.err == "error: samples.label=3 would have no effect: this run has condition=none; leave it out.\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["hierarchy=laddr"], "Did you mean 'ladder'?"),
        (["hierarchy=ladder", "hierarchy.dims=[8,4]"], "hierarchy.widths=[128]: must be one for each of dims=[8, 4]."),
        (["hierarchy=two_layer", "hierarchy.z1_dim=0"], "hierarchy.z1_dim=0: must be"),
        (["hierarchy=two_layer", "prior.latent_dim=5"], "prior=standard_normal is incompatible with hierarchy=two_layer"),
        (["condition=label", "condition.prior_sees_c=1"], "condition.prior_sees_c=1: must be true or false."),
    ],
)
def test_wrong_choices_end_with_one_sentence(runner: Runner, arguments: list[str], sentence: str) -> None:
    outcome = runner("train", *VERY_SHORT, *arguments)
    assert (outcome.status, outcome.err.count("\n")) == (2, 1), outcome.err
    assert sentence in outcome.err
    assert not list(runner.cwd.glob("outputs/**/*"))
