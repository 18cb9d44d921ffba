"""Training reaches what the README promises."""

from __future__ import annotations

import json
from pathlib import Path

from tests.running import Runner


def elbo_of(folder: Path) -> float:
    return json.loads((folder / "results.json").read_text())["test"]["elbo"]


def test_the_defaults_reach_their_elbo_on_mnist5k(runner: Runner) -> None:
    # seeds 0 to 4 gave -106.80, -106.61, -107.32, -108.20, -108.18: mean -107.42, standard deviation 0.75
    assert elbo_of(runner.trained("callbacks=minimal", "logger=none")) > -109.7


def test_two_epochs_reach_their_elbo_on_mnist(runner: Runner, data_root: Path) -> None:
    arguments = ("data=mnist", f"data.root={data_root.absolute()}", "trainer.max_epochs=2", "callbacks=minimal", "logger=none")
    # seeds 0 to 2 gave -121.95, -121.47, -120.22: mean -121.21, standard deviation 0.89
    assert elbo_of(runner.trained(*arguments)) > -123.9
