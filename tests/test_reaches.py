"""Training reaches what the README promises."""

from __future__ import annotations

import json
from pathlib import Path

from tests.running import Runner


def elbo_of(folder: Path) -> float:
    return json.loads((folder / "results.json").read_text())["test"]["elbo"]


def test_the_defaults_reach_their_elbo_on_mnist5k(runner: Runner) -> None:
    assert elbo_of(runner.trained("callbacks=minimal", "logger=none")) > -109


def test_two_epochs_reach_their_elbo_on_mnist(runner: Runner, data_root: Path) -> None:
    arguments = ("data=mnist", f"data.root={data_root.absolute()}", "trainer.max_epochs=2", "callbacks=minimal", "logger=none")
    assert elbo_of(runner.trained(*arguments)) > -120
