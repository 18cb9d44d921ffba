"""Training with the defaults reaches the ELBO that the README promises."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.running import Runner

pytestmark = pytest.mark.usefixtures("no_pictures")


def elbo_of(folder: Path) -> float:
    return json.loads((folder / "results.json").read_text())["test"]["elbo"]


def test_the_defaults_reach_their_elbo_on_mnist5k(runner: Runner) -> None:
    # seeds 0 to 4 gave -108.65, -107.19, -107.33, -108.72, -107.14: mean -107.81, standard deviation 0.81 (one thread)
    assert elbo_of(runner.trained("callbacks=minimal", "logger=none")) > -110.2


def test_two_epochs_reach_their_elbo_on_mnist(runner: Runner, data_root: Path) -> None:
    arguments = ("data=mnist", f"data.root={data_root.absolute()}", "trainer.max_epochs=2", "callbacks=minimal", "logger=none")
    # seeds 0 to 2 gave -121.58, -122.28, -120.43: mean -121.43, standard deviation 0.94 (one thread)
    assert elbo_of(runner.trained(*arguments)) > -124.2
