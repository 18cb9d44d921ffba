"""The page of results, from made-up run folders."""

from __future__ import annotations

import json
import math
import statistics
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vae_lightning.cli import published as command
from vae_lightning.config.builtin import CONFIG_GROUPS
from vae_lightning.reports.published.find_runs import find_runs, run_folders
from vae_lightning.reports.published.means import Gap, mean_over_seeds, paired_gap
from vae_lightning.reports.published.recipe_settings import differences, recipe_config, settings_of
from vae_lightning.reports.published.recipes import recipes
from vae_lightning.reports.published.results_page import page
from vae_lightning.runs.config_upgrade import SCHEMA_VERSION

KNOWN = recipes()
STANDARD, VAMP = "tomczak2018_standard", "tomczak2018_vamp"


def run(root: Path, recipe: str, seed: int = 0, metrics: dict[str, Any] | None = None, **more: Any) -> Path:
    """A run folder of `recipe` as it would be after training on 50,000 images and evaluation.

    more: started, images, entry, epochs, processes, and keys to change.
    """
    folder = root / recipe / f"{seed}_{more.get('started', '2026')}"
    folder.mkdir(parents=True)
    config = json.loads(json.dumps(recipe_config(recipe)))
    config |= {"seed": seed, "schema_version": SCHEMA_VERSION, "binarization": "dynamic", "started": more.get("started", "2026")}
    config |= {"choices": {**dict.fromkeys((*CONFIG_GROUPS, "trainer"), "x"), "experiment": recipe}, "resume": None}
    config["data_spec"] = {"shape": [1, 28, 28], "mean": 0.13, "train_size": 50000, "classes": 10}
    config["data"]["root"] = "elsewhere"
    for key, value in more.get("keys", {}).items():
        group, _, name = key.partition(".")
        config[group][name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    entry = more.get("entry", KNOWN[recipe].entry)
    epochs, batches = more.get("epochs", config["trainer"]["max_epochs"]), math.ceil(50000 / config["data"]["batch_size"])
    ended = {"steps": epochs * batches // more.get("processes", 1), "epochs": epochs, "seconds": 90.0}
    results = {**ended, "hardware": "an abacus", "git_commit": "0123abc", entry: {"elbo": -99.0, **(metrics or {})}}
    if metrics is not None:
        (folder / "results.json").write_text(json.dumps(results))
    if "images" in more:
        np.savez(folder / f"per_image_{entry}.npz", examples=np.arange(len(more["images"])), nll=np.array(more["images"]))
    return folder


def nll(value: float, error: float = 0.3, samples: int = 5000) -> dict[str, Any]:
    return {"nll": value, "nll_standard_error": error, "nll_samples": samples}


def row(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {start} |") and "`" not in line]
    return [cell.strip() for cell in line.strip("|").split("|")]


def page_of(root: Path) -> str:
    found, _ = find_runs(run_folders(root), KNOWN)
    return page(KNOWN, found)


def test_recipes_without_a_run_say_so(tmp_path: Path) -> None:
    text = page(KNOWN, {})
    for name in KNOWN:
        assert row(text, name)[4] == "not run"
        assert f"`python train.py experiment={name}`" in text
    assert row(text, f"{STANDARD} → {VAMP}") == [f"{STANDARD} → {VAMP}", "full", "2.02 (at least 1.5)", "not run", "", ""]


def test_one_seed_inside_and_outside(tmp_path: Path) -> None:
    run(tmp_path, STANDARD, metrics=nll(84.8))
    run(tmp_path, VAMP, seed=3, metrics=nll(81.9, 0.25, 100))
    text = page_of(tmp_path)
    assert row(text, STANDARD) == [STANDARD, "full", "nll, k = 5000", "84.45 (± 0.4)", "84.80 ± 0.30", "within", "0"]
    assert row(text, VAMP)[2:] == ["nll, k = 100", "82.43 (± 0.4)", "81.90 ± 0.25", "**outside**, lower", "3"]
    made = next(line for line in text.splitlines() if line.startswith(f"| {VAMP} | `"))
    for part in (f"`python train.py experiment={VAMP} seed=3`", "nll.samples=100 ", "0123abc", "an abacus", "| 1.5 |"):
        assert part in made


def test_several_seeds_have_an_error_over_seeds_too(tmp_path: Path) -> None:
    values = [-105.0, -106.0, -105.4]
    for seed, elbo in enumerate(values):
        metrics = {"elbo": elbo, "elbo_standard_error": 0.2 + 0.1 * seed}
        run(tmp_path, "pytorch_example", seed, metrics, entry="test_last")
    found, _ = find_runs(run_folders(tmp_path), KNOWN)
    mean = mean_over_seeds(found["pytorch_example"])
    assert mean is not None
    assert mean.mean == pytest.approx(-statistics.fmean(values))
    assert mean.over_images == pytest.approx(0.3)
    assert mean.over_seeds == pytest.approx(statistics.stdev(values) / math.sqrt(3))
    text = page(KNOWN, found)
    assert row(text, "pytorch_example")[4:] == ["105.47 ± 0.30 (images) ± 0.29 (seeds)", "within", "0, 1, 2"]
    assert "`python train.py -m experiment=pytorch_example seed=0,1,2`" in text


def test_a_budget_has_no_verdict(tmp_path: Path) -> None:
    run(tmp_path, f"{STANDARD}_budget", metrics=nll(84.5, samples=100))
    assert row(page_of(tmp_path), f"{STANDARD}_budget")[1:7] == ["budget", "nll, k = 100", "84.45", "84.50 ± 0.30", "", "0"]
    assert row(page_of(tmp_path), STANDARD)[4] == "not run"


def test_a_recipe_without_a_published_value_has_no_verdict(tmp_path: Path) -> None:
    run(tmp_path, "kingma2014_z20", metrics={"elbo": -99.0, "elbo_standard_error": 0.2})
    assert row(page_of(tmp_path), "kingma2014_z20")[3:] == ["none", "99.00 ± 0.20", "", "0"]


def test_what_training_alone_wrote_is_no_evaluation(tmp_path: Path) -> None:
    run(tmp_path, "kingma2014_z20", metrics={})
    assert row(page_of(tmp_path), "kingma2014_z20")[4] == "not evaluated"


def test_the_paired_gap_and_its_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(84, 25, 400)  # how hard each image is for every model
    better = {seed: hard - 1.8 + rng.normal(0, 2, 400) for seed in (0, 1)}
    for seed, values in better.items():
        run(tmp_path, STANDARD, seed, nll(hard.mean()), images=hard.tolist())
        run(tmp_path, VAMP, seed, nll(values.mean()), images=values.tolist())
    run(tmp_path, VAMP, 7, nll(80.0), images=hard.tolist())  # no other run has its seed
    found, _ = find_runs(run_folders(tmp_path), KNOWN)
    gap = paired_gap(KNOWN[VAMP], KNOWN[STANDARD], found)
    assert isinstance(gap, Gap)
    each = hard - (better[0] + better[1]) / 2
    assert gap.difference.mean == pytest.approx(each.mean())
    assert gap.difference.over_images == pytest.approx(each.std(ddof=1) / 20)
    assert gap.difference.over_images < 0.15 < 25 / 20, "unpaired it would be far larger"
    differences = [(hard - better[seed]).mean() for seed in (0, 1)]
    assert gap.difference.over_seeds == pytest.approx(abs(differences[0] - differences[1]) / 2)
    assert gap.difference.seeds == (0, 1)
    assert gap.reached
    cells = row(page(KNOWN, found), f"{STANDARD} → {VAMP}")
    assert cells[1:3] == ["full", "2.02 (at least 1.5)"]
    assert cells[3].startswith(f"{gap.difference.mean:.2f} ± {gap.difference.over_images:.2f} (images)")
    assert cells[4:] == ["reached", "400"]


def test_a_full_pair_has_to_reach_its_gap_and_a_budget_to_be_above_zero(tmp_path: Path) -> None:
    wobble = [(-1.0) ** i for i in range(100)]
    for suffix in ("", "_budget"):
        run(tmp_path, STANDARD + suffix, metrics=nll(90), images=[90.0] * 100)
        run(tmp_path, VAMP + suffix, metrics=nll(89), images=[89.0 + w for w in wobble])
    text = page_of(tmp_path)
    assert row(text, f"{STANDARD} → {VAMP}")[3:5] == ["1.00 ± 0.10", "**not reached**"]
    assert row(text, f"{STANDARD}_budget → {VAMP}_budget")[3:5] == ["1.00 ± 0.10", "reached"]
    run(tmp_path, f"{VAMP}_budget", started="2027", metrics=nll(89.85), images=[89.85 + w for w in wobble])
    assert row(page_of(tmp_path), f"{STANDARD}_budget → {VAMP}_budget")[3:5] == ["0.15 ± 0.10", "**not reached**"]


def test_images_that_only_one_was_measured_on_are_left_out_and_other_k_refused(tmp_path: Path) -> None:
    run(tmp_path, STANDARD, metrics=nll(277 / 3), images=[90.0, math.nan, 92.0, 95.0])
    better = run(tmp_path, VAMP, metrics=nll(68.375), images=[89.0, 0.0, 91.5, 93.0])
    assert row(page_of(tmp_path), f"{STANDARD} → {VAMP}")[3::2] == ["1.17 ± 0.44", "3"]
    results = json.loads((better / "results.json").read_text())
    results["test"]["nll_samples"] = 100
    (better / "results.json").write_text(json.dumps(results))
    assert row(page_of(tmp_path), f"{STANDARD} → {VAMP}")[3] == "nll_samples differ (100, 5000)"


def test_a_run_that_is_not_of_the_recipe_is_left_out_with_a_sentence(tmp_path: Path) -> None:
    other = run(tmp_path, STANDARD, 1, nll(60), keys={"optimizer.lr": 0.1, "trainer.max_epochs": 3})
    unfinished = run(tmp_path, STANDARD, 2)
    run(tmp_path, STANDARD, 3, nll(84.4), keys={"data.root": "x", "trainer.devices": 1, "optimizer.fused": False})
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    assert [found_run.seed for found_run in found[STANDARD]] == [3]
    assert notes == [
        f"{other.name} is left out: it is not a run of {STANDARD}: trainer.max_epochs, optimizer.lr differ.",
        f"{unfinished.name} is left out: its training is not finished.",
    ]


def test_a_run_of_two_processes_has_twice_the_batch_and_is_left_out(tmp_path: Path) -> None:
    both = run(tmp_path, STANDARD, 1, nll(84), processes=2, keys={"trainer.devices": 2})
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    assert found == {}
    assert notes == [f"{both.name} is left out: it was trained by several processes, each with the batch size of {STANDARD}."]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trainer.precision", "bf16-mixed"), ("trainer.limit_train_batches", 10), ("trainer.overfit_batches", 1.0),
        ("trainer.accumulate_grad_batches", 2), ("trainer.gradient_clip_val", 1.0), ("trainer.max_epochs", 7),
        ("trainer.max_time", "00:01:00:00"), ("trainer.max_steps", 9), ("callbacks.best", None), ("data.binarize", "static"),
        ("data.batch_size", 99), ("data.val_size", 9), ("model.hidden", [3]), ("optimizer.eps", 1.0), ("lr_schedule.gamma", 0.5),
        ("trainer.limit_val_batches", 1), ("trainer.check_val_every_n_epoch", 5), ("trainer.min_epochs", 900),
        ("beta_schedule.warmup", 3), ("likelihood.bias_from_data", True), ("prior.components", 3), ("objective.bound", {}),
    ],
)  # fmt: skip
def test_what_makes_a_run_another_than_the_recipe(key: str, value: Any) -> None:
    config = json.loads(json.dumps(recipe_config(STANDARD)))
    recipe = settings_of(recipe_config(STANDARD))
    assert differences(settings_of(config), recipe) == []
    group, _, name = key.partition(".")
    config[group][name] = value
    assert differences(settings_of(config), recipe) == [key]


def test_an_evaluation_does_not_make_a_run_finished(tmp_path: Path) -> None:
    """evaluate.py also measures the checkpoint of a killed run, which then has a results.json too."""
    killed = run(tmp_path, STANDARD, 0, nll(84.4))
    results = json.loads((killed / "results.json").read_text())
    (killed / "results.json").write_text(json.dumps({"test": results["test"]}))
    prolonged = run(tmp_path, "burda2016_vae", 1, nll(86.8), epochs=40)
    early_stopped = run(tmp_path, STANDARD, 2, nll(84.4), epochs=700)
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    assert [(name, a.folder) for name, those in found.items() for a in those] == [(STANDARD, early_stopped)]
    assert notes == [f"{folder.name} is left out: its training is not finished." for folder in (prolonged, killed)]


def test_images_of_another_evaluation_make_no_gap(tmp_path: Path) -> None:
    run(tmp_path, STANDARD, metrics=nll(84.5), images=[84.0, 85.0])
    stale = run(tmp_path, VAMP, metrics={**nll(82.5), "nll_images": 2}, images=[79.0, 80.0])
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    text = page(KNOWN, found)
    assert row(text, VAMP)[2:5:2] == ["nll, k = 5000, 2 images", "82.50 ± 0.30"]
    assert row(text, f"{STANDARD} → {VAMP}")[3] == "no runs with the same seed and per_image=true"
    assert len(notes) == 1
    assert notes[0].startswith(f"{stale.name}: per_image_test.npz does not match results.json")


def test_of_one_seed_the_latest_that_was_evaluated_counts(tmp_path: Path) -> None:
    for started, metrics in (("2026-01", nll(90)), ("2026-02", nll(84.5)), ("2026-03", {})):
        run(tmp_path, STANDARD, 0, metrics, started=started)
    assert row(page_of(tmp_path), STANDARD)[4] == "84.50 ± 0.30"


def test_seeds_evaluated_in_another_way_are_no_part_of_the_mean(tmp_path: Path) -> None:
    """An nll with fewer samples is a looser bound, and one with fewer images is for a different test set."""
    few = run(tmp_path, STANDARD, 0, {**nll(86.0, samples=100), "nll_images": 10000})
    run(tmp_path, STANDARD, 1, {**nll(84.4), "nll_images": 10000})
    part = run(tmp_path, STANDARD, 2, {**nll(70.0), "nll_images": 50})
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    assert row(page(KNOWN, found), STANDARD)[2:7:4] == ["nll, k = 5000, 10,000 images", "1"]
    most = "but another seed has 10,000 images with k = 5000."
    assert notes == [
        f"{few.name} is left out: its nll is from 10,000 images with k = 100, {most}",
        f"{part.name} is left out: its nll is from 50 images with k = 5000, {most}",
    ]


def test_a_run_without_an_evaluation_is_told_how_to_get_one_and_makes_no_gap(tmp_path: Path) -> None:
    for seed in (0, 1):
        run(tmp_path, STANDARD, seed, nll(90.5), images=[90.0, 91.0])
    run(tmp_path, VAMP, 0, nll(88.0), images=[87.0, 89.0])
    trained = run(tmp_path, VAMP, 1, {}, images=[1.0, 2.0])
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    assert notes == [f"{trained.name} was not evaluated: python evaluate.py run={trained} {KNOWN[VAMP].evaluate}"]
    assert row(page(KNOWN, found), f"{STANDARD} → {VAMP}")[3].startswith("2.50 ± ")


@pytest.mark.parametrize("text", ['{"steps": 3, "ep', "null", "[1, 2]", "", "\xff"])
def test_a_damaged_results_json_leaves_its_run_out_and_no_other(tmp_path: Path, text: str) -> None:
    damaged = run(tmp_path, STANDARD, 0, nll(84.4))
    (damaged / "results.json").write_bytes(text.encode("latin1"))
    run(tmp_path, STANDARD, 1, nll(84.5))
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    assert notes == [f"{damaged.name} is left out: its results.json is damaged."]
    assert [found_run.seed for found_run in found[STANDARD]] == [1]


@pytest.mark.parametrize(
    ("place", "value", "shown"),
    [
        (("test",), [1], "not evaluated"), (("test", "nll"), math.nan, "not evaluated"), (("test", "nll"), "84", "not evaluated"),
        (("seconds",), None, "84.40 ± 0.30"), (("epochs",), None, "not run"), (("steps",), "many", "not run"),
    ],
)  # fmt: skip
def test_figures_that_are_none_are_no_figures(tmp_path: Path, place: tuple[str, ...], value: Any, shown: str) -> None:
    folder = run(tmp_path, STANDARD, 0, nll(84.4), images=[84.0, 84.8])
    results = json.loads((folder / "results.json").read_text())
    inner = results
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    (folder / "results.json").write_text(json.dumps(results))
    assert row(page_of(tmp_path), STANDARD)[4] == shown


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 cut"])
def test_a_damaged_file_of_images_costs_the_gap_alone(tmp_path: Path, content: bytes) -> None:
    for name in (STANDARD, VAMP):
        folder = run(tmp_path, name, 0, nll(82.5), images=[82.0, 83.0])
    (folder / "per_image_test.npz").write_bytes(content)
    found, notes = find_runs(run_folders(tmp_path), KNOWN)
    assert notes[0].startswith(f"{folder.name}: per_image_test.npz does not match results.json, or is damaged")
    text = page(KNOWN, found)
    assert row(text, VAMP)[4] == "82.50 ± 0.30"
    assert row(text, f"{STANDARD} → {VAMP}")[3] == "no runs with the same seed and per_image=true"


@pytest.mark.parametrize("key", ["seed", "experiment"])
def test_a_configuration_that_is_no_runs_is_passed_over(tmp_path: Path, key: str) -> None:
    folder = run(tmp_path, STANDARD, 0, nll(84.4))
    config = yaml.safe_load((folder / "config.yaml").read_text())
    (config if key in config else config["choices"])[key] = ["a list"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert find_runs(run_folders(tmp_path), KNOWN) == ({}, [])


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """The exit status of `python -m vae_lightning.cli.published …`."""
    monkeypatch.setattr(sys, "argv", ["published", *arguments])
    try:
        command.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_the_command_writes_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path / "runs=a b", STANDARD, metrics=nll(84.4))
    target, records = tmp_path / "results.md", f"records={tmp_path / 'records'}"
    assert called(monkeypatch, f"runs={tmp_path / 'runs=a b'}", f"page={target}", records) == 0
    assert f"1 of {len(KNOWN)} recipes, 1 run\n" in capsys.readouterr().out
    assert row(target.read_text(), STANDARD)[4] == "84.40 ± 0.30"
    assert called(monkeypatch, f"runs={tmp_path / 'none'}", f"page={target}", records) == 2
    assert capsys.readouterr().err == f"error: runs={tmp_path / 'none'}: no such folder.\n"
    assert called(monkeypatch, f"runs={tmp_path}", f"page={tmp_path / 'no' / 'results.md'}", records) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert called(monkeypatch, f"runs={tmp_path}", f"page={target}", "records=null") == 2
    assert capsys.readouterr().err == "error: records=null: must be a path.\n"


def test_active_units_beside_those_of_the_paper(tmp_path: Path) -> None:
    for seed, active in enumerate((24, 26)):
        run(tmp_path, "burda2016_iwae50", seed=seed, metrics={**nll(84.9), "active_units": active})
    lines = page_of(tmp_path).splitlines()
    assert "| `burda2016_iwae50` | full | 25 | 24 of 50, 26 of 50 | 0, 1 |" in lines
    assert "| `burda2016_iwae50_budget` | budget | 25 | not run |  |" in lines
