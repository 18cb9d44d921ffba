"""The published values in conf/experiment, and that a budget variant only shortens its full recipe."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.running import Runner
from vae_lightning.config.builtin import conf_dir
from vae_lightning.errors import UserError
from vae_lightning.reports.published.recipe_settings import differences, recipe_config, settings_of
from vae_lightning.reports.published.recipes import recipes

FULL: dict[str, object] = {
    "paper": "A. Uthor 2020", "table": "table 1", "setting": "a", "metric": "nll", "value": 80.0, "tolerance": 0.5,
    "evaluate": "measures=[nll]",
}  # fmt: skip
BUDGET: dict[str, object] = {"budget_of": "a", "setting": "b", "evaluate": "checkpoint=last"}


def written(folder: Path, **files: dict[str, object]) -> Path:
    for name, keys in files.items():
        text = yaml.safe_dump({"defaults": ["other"], "published": keys})
        (folder / f"{name}.yaml").write_text(f"# @package _global_\n{text}")
    return folder


def test_what_ships_has_every_published_value_of_the_plan() -> None:
    known = recipes()
    values = {name: recipe.value for name, recipe in known.items() if not recipe.is_budget and recipe.value is not None}
    assert values["burda2016_vae"] - values["burda2016_iwae50"] == pytest.approx(1.98)
    assert values["tomczak2018_standard"] == 84.45
    assert values["pytorch_example"] == 105.6
    assert set(known) == {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")} - {"quickstart"}
    for name, recipe in known.items():
        assert recipe_config(name)["name"] == name
        assert recipe.pair is None or known[recipe.pair].metric == recipe.metric


def test_a_budget_differs_from_its_recipe_in_schedules_only() -> None:
    shortened = {"beta_schedule.warmup", "callbacks.early_stopping", "trainer.max_epochs"}
    budgets = [recipe.name for recipe in recipes().values() if recipe.is_budget]
    assert len(budgets) >= 7
    for name in budgets:
        found = set(differences(settings_of(recipe_config(name)), settings_of(recipe_config(name.removesuffix("_budget")))))
        assert "trainer.max_epochs" in found
        assert found <= shortened, name


def test_the_setting_of_kingma_and_welling() -> None:
    config = recipe_config("kingma2014_z20")
    assert config["optimizer"]["_target_"] == "torch.optim.Adagrad"
    assert config["optimizer"]["lr"] == 0.02
    assert config["optimizer"]["weight_decay"] == 1 / 50_000  # ½‖θ‖² of the prior on the weights, spread over the training images
    assert config["model"]["init_std"] ** 2 == pytest.approx(0.01)
    assert [recipe_config(f"kingma2014_z{size}")["latent_dim"] for size in (3, 5, 10, 20, 200)] == [3, 5, 10, 20, 200]


def test_burdas_schedule() -> None:
    schedule, epochs = recipe_config("burda2016_vae")["lr_schedule"], recipe_config("burda2016_vae")["trainer"]["max_epochs"]
    assert schedule["unit"] == "epoch"
    assert schedule["milestones"] == [sum(3**j for j in range(i)) for i in range(1, 8)]
    assert schedule["gamma"] == pytest.approx(10 ** (-1 / 7), abs=1e-15)
    assert epochs == sum(3**i for i in range(8)) == 3280


def test_a_budget_has_the_value_of_its_recipe_and_is_held_against_nothing(tmp_path: Path) -> None:
    paired = {**FULL, "value": 79.0, "pair": "a", "gap_at_least": 0.7}
    known = recipes(written(tmp_path, a=FULL, b=paired, a_budget=BUDGET, b_budget={**BUDGET, "budget_of": "b"}))
    assert list(known) == ["a", "a_budget", "b", "b_budget"]
    full, budget = known["b"], known["b_budget"]
    assert (full.pair, full.gap_at_least, full.entry) == ("a", 0.7, "test")
    assert (budget.pair, budget.gap_at_least, budget.entry, budget.value) == ("a_budget", None, "test_last", 79.0)
    assert [full.agrees(ours) for ours in (78.4, 78.6, 79.4, 79.6)] == [False, True, True, False]
    assert [budget.agrees(ours) for ours in (70.0, 79.0)] == [None, None]


def test_a_recipe_may_have_no_published_value(tmp_path: Path) -> None:
    keys = {key: value for key, value in FULL.items() if key not in ("value", "tolerance")}
    known = recipes(written(tmp_path, a=keys, a_budget=BUDGET))
    assert [(recipe.value, recipe.agrees(80.0)) for recipe in known.values()] == [(None, None)] * 2


def test_gaps_that_ship_are_within_one_paper() -> None:
    known = recipes()
    pairs = [(recipe, known[recipe.pair]) for recipe in known.values() if recipe.pair and not recipe.is_budget]
    assert len(pairs) >= 5
    assert all(better.paper == worse.paper for better, worse in pairs)
    gaps = {better.name: round(worse.value - better.value, 2) for better, worse in pairs if worse.value and better.value}
    assert gaps["tomczak2018_vamp"] == 2.02
    assert gaps["tomczak2018_vamp_fashion"] == 1.35


def test_numbers_in_names_are_in_their_order(tmp_path: Path) -> None:
    assert list(recipes(written(tmp_path, z10=FULL, z3=FULL, z200=FULL))) == ["z3", "z10", "z200"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a": {k: v for k, v in FULL.items() if k != "paper"}}, "conf/experiment/a.yaml: published: missing paper."),
        ({"a": {**FULL, "page": 3}}, "published: unknown key page; the keys are "),
        ({"a": {**FULL, "value": "about 80"}}, "value=about 80: must be a finite number"),
        ({"a": {**FULL, "table": 1}}, "table=1: must be text."),
        ({"a": {**FULL, "active_units": 2.5}}, "active_units=2.5: must be an integer"),
        ({"a": {**FULL, "metric": "fid"}}, "metric=fid: must be one of nll, -elbo."),
        ({"a": {**FULL, "pair": "c"}}, "published: missing gap_at_least."),
        ({"a": {key: FULL[key] for key in FULL if key != "tolerance"}}, "published: missing tolerance."),
        ({"a": {**FULL, "pair": "c", "gap_at_least": 1}}, "pair=c is not a recipe."),
        ({"a": FULL, "b_budget": BUDGET}, "budget_of=a must name the full recipe, b."),
        ({"a": "80 nats"}, "conf/experiment/a.yaml: published=80 nats must be a mapping."),
    ],
)
def test_a_wrong_published_mapping_is_named_in_one_sentence(tmp_path: Path, files: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)) as raised:
        recipes(written(tmp_path, **files))
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_yaml_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("published: {paper: see: this: one}\n")
    with pytest.raises(UserError, match=r"conf/experiment/a\.yaml is not valid YAML"):
        recipes(tmp_path)


def test_files_without_published_values_are_not_recipes(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("# @package _global_\n# Digits in a few seconds.\nlatent_dim: 2\n")
    (tmp_path / "empty.yaml").write_text("")
    assert recipes(tmp_path) == {}


def test_published_values_change_no_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every experiment composes to the same settings with its `published` mapping and without it."""
    names = [path.stem for path in sorted((conf_dir() / "experiment").glob("*.yaml"))]
    before = {name: recipe_config(name) for name in names}
    assert all("published" not in config for config in before.values())
    shutil.copytree(conf_dir(), tmp_path / "conf")
    for path in (tmp_path / "conf" / "experiment").glob("*.yaml"):
        path.write_text(path.read_text().partition("published:\n")[0])
    monkeypatch.setattr("vae_lightning.config.compose.conf_dir", lambda: tmp_path / "conf")
    assert {name: recipe_config(name) for name in names} == before


def test_a_run_stores_no_published_values_and_they_cannot_be_set(runner: Runner, tmp_path: Path) -> None:
    """A user's own experiment may have published values too."""
    (tmp_path / "own" / "experiment").mkdir(parents=True)
    (tmp_path / "own" / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{yaml.safe_dump({'published': FULL})}")
    tiny = ("model.hidden=[8]", "trainer.max_epochs=1", "trainer.limit_train_batches=1", "callbacks=minimal", "logger=none")
    folder = runner.trained("--config-dir", str(tmp_path / "own"), "experiment=mine", *tiny)
    assert "published" not in yaml.safe_load((folder / "config.yaml").read_text())
    for override in ("published.value=3", "+published.page=3", "published=null"):
        outcome = runner("train", "experiment=kingma2014_z3", override)
        assert (outcome.status, outcome.err) == (
            2,
            f"error: {override}: published holds the values that a paper reports, not settings; leave it out.\n",
        )
