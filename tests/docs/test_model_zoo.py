"""docs/model_zoo.md: each row is a composition that trains, and names existing tests."""

from __future__ import annotations

import re
import runpy
from dataclasses import dataclass

import pytest
import torch

from tests.running import REPOSITORY, Runner
from vae_lightning.noise import StreamNoise
from vae_lightning.schedules.beta import RunLength

compositions = runpy.run_path(str(REPOSITORY / "docs" / "compositions.py"))
AXES = ("posterior", "prior", "hierarchy", "condition", "likelihood", "objective", "beta_schedule", "sampler")


@dataclass(frozen=True)
class Row:
    model: str
    arguments: tuple[str, ...]
    tests: tuple[str, ...]


def rows() -> list[Row]:
    """The rows with a command line and tests, without headings and models that are not covered."""
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in page().splitlines() if line.startswith("| ")]
    five = [line for line in cells if len(line) == 5 and line[0] != "model"]
    return [Row(line[0], tuple(line[3].strip("`").split()), tuple(re.findall(r"`(\S+)`", line[4]))) for line in five]


def page() -> str:
    return (REPOSITORY / "docs" / "model_zoo.md").read_text(encoding="utf-8")


ROWS = [pytest.param(row, id=" ".join(row.arguments)) for row in rows()]


@pytest.mark.parametrize("row", ROWS)
def test_every_row_trains_three_steps(row: Row) -> None:
    """A tiny model without Lightning: all metrics are finite, and the encoder's weights change."""
    torch.manual_seed(0)
    module = compositions["module_of"](compositions["composed"](*row.arguments))
    module.beta_schedule.begin(RunLength(4, 4))
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-2)
    images, labels = torch.rand(8, 1, 8, 8).round(), torch.arange(8)
    before = [p.detach().clone() for p in module.vae.encoder.parameters()]
    for step in range(1, 4):
        losses = module.objective(module.vae, images, module.beta_schedule(step), StreamNoise(torch.Generator(), step), labels)
        module.beta_schedule.observe(losses)
        optimizer.zero_grad()
        losses["loss"].backward()
        optimizer.step()
        assert all(bool(value.isfinite()) for value in losses.values()), losses
    assert set(losses) <= {*re.findall(r"`(\w+)`", page())}, "a metric that the page does not list"
    assert all(not torch.equal(old, new) for old, new in zip(before, module.vae.encoder.parameters(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_every_row_is_a_command_that_trains_and_draws(runner: Runner, row: Row) -> None:
    folder = runner.trained(*row.arguments, "trainer.max_epochs=1", "trainer.limit_train_batches=5", "logger=none")
    assert (folder / "results.json").exists()
    assert (folder / "figures" / "samples.png").exists()


@pytest.mark.parametrize("row", ROWS)
def test_every_row_names_tests_that_are_there(row: Row) -> None:
    assert row.tests
    for path in row.tests:
        assert "def test_" in (REPOSITORY / path).read_text(encoding="utf-8")


def test_every_option_of_the_model_space_has_its_row() -> None:
    """All options except defaults, plain baselines and priors that a posterior selects."""
    used = {argument for row in rows() for argument in row.arguments}
    options = {f"{axis}={option}" for axis in AXES for option in compositions["options"](axis)}
    defaults = {"posterior=diagonal", "prior=standard_normal", "hierarchy=none", "condition=none", "likelihood=bernoulli"}
    come_along = {f"prior={prior}" for prior in compositions["bringers"]()}
    plain = {"sampler=prior", "beta_schedule=constant", "beta_schedule=cosine", "likelihood=laplace", "likelihood=categorical"}
    scales = {"likelihood=gaussian_learned", "likelihood=gaussian_per_pixel"}
    assert options - used == defaults | come_along | plain | scales


def test_rows_are_read_whole() -> None:
    commands = re.findall(r"\| `([\w./=\- \[\],]+)` \| `tests/", page())
    assert [" ".join(row.arguments) for row in rows()] == commands
    assert len(commands) == len(set(commands)) >= 40
