"""The headers of conf/experiment: what they say, and that a budget is the full recipe but for what it shortens."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vae_lightning.config.builtin import conf_dir
from vae_lightning.errors import UserError
from vae_lightning.reports.published.recipe_settings import differences, recipe_config, settings_of
from vae_lightning.reports.published.recipes import recipes

FULL = {
    "paper": "A. Uthor 2020", "table": "table 1", "setting": "a", "metric": "nll", "published": 80.0, "tolerance": 0.5,
    "evaluate": "measures=[nll]",
}  # fmt: skip
BUDGET = {"budget_of": "a", "setting": "b", "allowance": 2, "chosen": "before", "evaluate": "checkpoint=last"}


def written(folder: Path, **files: dict[str, object]) -> Path:
    for name, keys in files.items():
        lines = [f"# {key}: {value}" for key, value in keys.items()]
        (folder / f"{name}.yaml").write_text("\n".join(["# @package _global_", *lines, "defaults:", "  - other"]))
    return folder


def test_what_ships_has_every_published_value_of_the_plan() -> None:
    known = recipes()
    values = {name: recipe.published for name, recipe in known.items() if not recipe.is_budget}
    assert values["burda2016_vae"] - values["burda2016_iwae50"] == pytest.approx(1.98)
    assert values["tomczak2018_standard"] == 84.45
    assert values["pytorch_example"] == 105.6
    headed = {path.stem for path in (conf_dir() / "experiment").glob("*.yaml")} - {"quickstart"}
    assert set(known) == headed
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


def test_a_budget_has_the_values_of_its_recipe_and_a_target_of_its_own(tmp_path: Path) -> None:
    paired = {**FULL, "published": 79.0, "pair": "a", "gap_at_least": 0.7}
    known = recipes(written(tmp_path, a=FULL, b=paired, a_budget=BUDGET, b_budget={**BUDGET, "budget_of": "b"}))
    assert list(known) == ["a", "a_budget", "b", "b_budget"]
    full, budget = known["b"], known["b_budget"]
    assert (full.pair, full.gap_at_least, full.entry) == ("a", 0.7, "test")
    assert (budget.pair, budget.gap_at_least, budget.entry, budget.published) == ("a_budget", None, "test_last", 79.0)
    assert [full.holds(ours) for ours in (78.4, 78.6, 79.4, 79.6)] == [False, True, True, False]
    assert [budget.holds(ours) for ours in (70.0, 81.0, 81.1)] == [True, True, False]


def test_numbers_in_names_are_in_their_order(tmp_path: Path) -> None:
    assert list(recipes(written(tmp_path, z10=FULL, z3=FULL, z200=FULL))) == ["z3", "z10", "z200"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"a": {k: v for k, v in FULL.items() if k != "paper"}}, "The header of conf/experiment/a.yaml has .* and needs "),
        ({"a": {**FULL, "published": "about 80"}}, "published about 80 must be a number"),
        ({"a": {**FULL, "metric": "fid"}}, "metric fid must be one of nll, -elbo"),
        ({"a": {**FULL, "pair": "c", "gap_at_least": 1}}, "pair c is no recipe"),
        ({"a": FULL, "b_budget": BUDGET}, "budget_of a must be the recipe of that name"),
        ({"a": {**FULL, "paper": "see: this: one"}}, "The header of a.yaml is no YAML"),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, files: dict[str, dict[str, object]], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        recipes(written(tmp_path, **files))


def test_files_without_a_header_are_no_recipes(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("# @package _global_\n# Digits in a few seconds.\nlatent_dim: 2\n")
    assert recipes(tmp_path) == {}
    assert yaml.safe_load((tmp_path / "mine.yaml").read_text()) == {"latent_dim": 2}
