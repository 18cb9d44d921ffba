"""The summary of a sweep: averaging, ranking, keeping kinds apart, tables and the page."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import shutil
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from markupsafe import escape
from rich.console import Console

from tests.running import Runner
from tests.sweeps.sweeping import TINY, Sweeps
from vae_lightning.errors import UserError
from vae_lightning.reports.sweep import charts
from vae_lightning.reports.sweep.gather import GREY, RunRow, gather, kind_of
from vae_lightning.reports.sweep.image_strips import Strip, Strips
from vae_lightning.reports.sweep.page import page
from vae_lightning.reports.sweep.ranking import columns, rankings
from vae_lightning.reports.sweep.search_result import found_by_search
from vae_lightning.reports.sweep.settings import show
from vae_lightning.reports.sweep.summary import heading, markdown, notes, summary_csv, terminal_table
from vae_lightning.reports.sweep.write_report import write_report
from vae_lightning.runs.sweep_record import Sweep, update_state


def made_up(folder: Path, runs: Sequence[dict]) -> Path:
    """A sweep's folder as it would be after these runs: dicts of overrides, with `elbo`, `binarization` and `state`."""
    sweep = Sweep(folder, ["-m"])
    for run in runs:
        given = {k: v for k, v in run.items() if k not in ("elbo", "state", "binarization")}
        job = sweep.add([f"{k}={v}" for k, v in given.items()], " ".join(f"{k}={v}" for k, v in given.items()))
        place = folder / job.folder
        place.mkdir(parents=True)
        sweep.set_state(job, run.get("state", "done"))
        if run.get("state", "done") != "done":
            continue
        choices = {"data": "mnist5k", "likelihood": run.get("likelihood", "bernoulli")}
        config = {"choices": choices, "binarization": run.get("binarization", "dynamic"), "data": {}, "overrides": [], **given}
        config["likelihood"] = {"_target_": f"vae_lightning.models.likelihoods.{str(choices['likelihood']).capitalize()}"}
        (place / "config.yaml").write_text(yaml.safe_dump(config))
        metrics = {"elbo": run["elbo"], "nll": -run["elbo"] - 1.0, "new_metric": 3.0} if run["elbo"] is not None else {"kl": 0.5}
        (place / "results.json").write_text(json.dumps({"test": metrics, "val": metrics}))
    sweep.save()
    return folder


def test_means_and_deviations_over_seeds_best_first(tmp_path: Path) -> None:
    elbos = {1: [-101.0, -103.5, -102.25], 4: [-99.0, -98.0, -100.5], 8: [-120.0]}
    runs = [{"beta": beta, "seed": seed, "elbo": e} for beta, es in elbos.items() for seed, e in enumerate(es)]
    gathered = gather([made_up(tmp_path / "s", runs)])
    (ranking,) = rankings(gathered)
    assert [group.settings for group in ranking.groups] == [{"beta": 4}, {"beta": 1}, {"beta": 8}]
    for group in ranking.groups:
        values = elbos[group.settings["beta"]]
        summary = group.metrics["elbo"]
        assert summary.mean == pytest.approx(statistics.fmean(values))
        assert summary.count == len(values)
        if len(values) > 1:
            assert summary.deviation == pytest.approx(statistics.stdev(values))
        else:
            assert math.isnan(summary.deviation)
    assert ranking.groups[2].metrics["elbo"].text() == "−120.00"
    assert "new_metric" in ranking.groups[0].metrics, "metrics are read, not known beforehand"


def test_lower_is_better_where_it_is_and_unknown_metrics_need_a_direction(tmp_path: Path) -> None:
    gathered = gather([made_up(tmp_path / "s", [{"beta": 1, "elbo": -100.0}, {"beta": 2, "elbo": -90.0}])])
    assert [g.settings["beta"] for g in rankings(gathered, "nll")[0].groups] == [2, 1]
    assert [g.settings["beta"] for g in rankings(gathered, "nll", direction="max")[0].groups] == [1, 2]
    with pytest.raises(UserError, match="new_metric: it is not known whether higher or lower is better"):
        rankings(gathered, "new_metric")


def test_units_and_decimals_are_those_of_the_metric(tmp_path: Path) -> None:
    """nll is in nats; a metric that the table does not have is shown with more decimals and not called nats."""
    gathered = gather([made_up(tmp_path / "s", [{"seed": seed, "elbo": -100.0} for seed in range(2)])])
    for run in gathered.runs:
        run.metrics["test"] |= {"new_metric": 0.4439, "active_units": 15, "bits_per_dim": 0.2}
    found = rankings(gathered)
    assert notes(found)[0].startswith(
        "Mean ± standard deviation over seeds, test split, in nats per image (bits_per_dim in bits per pixel and channel; "
        "new_metric, active_units without a unit); the ELBO"
    )
    shown = {name: summary.text() for name, summary in found[0].groups[0].metrics.items()}
    assert shown["new_metric"] == "0.4439 ± 0.0000"
    assert (shown["active_units"], shown["elbo"], shown["bits_per_dim"]) == ("15.0 ± 0.0", "−100.00 ± 0.00", "0.2000 ± 0.0000")


def test_every_metric_of_an_epoch_has_a_learning_curve_unless_the_table_says_no(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "s", [{"beta": 1, "elbo": -100.0}])
    names = ["elbo", *(f"new_{i}" for i in range(6)), "active_units"]
    for path in folder.glob("*/results.json"):
        path.write_text(json.dumps({"test": dict.fromkeys(names, 1.0), "val": {}}))
        rows = [",".join(["val", str(epoch), *["1"] * len(names)]) for epoch in range(2)]
        (path.parent / "metrics.csv").write_text("\n".join([",".join(["kind", "epoch", *names]), *rows, ""]))
    gathered = gather([folder])
    text = page(gathered, rankings(gathered), {}, {})
    drawn = [name for name in names if f"{name} by epoch" in text]
    assert drawn == names[:-1]


def test_metrics_of_different_kinds_are_never_in_one_ranking(tmp_path: Path) -> None:
    runs: list[dict] = [
        {"likelihood": "bernoulli", "seed": 0, "elbo": -100.0},
        {"likelihood": "bernoulli", "seed": 1, "elbo": -101.0},
        {"likelihood": "gaussian", "seed": 0, "elbo": 900.0, "binarization": "none"},
        {"likelihood": "bernoulli", "seed": 2, "elbo": -60.0, "binarization": "none"},
    ]
    gathered = gather([made_up(tmp_path / "s", runs)])
    found = rankings(gathered)
    assert [(r.kind, sum(len(g.runs) for g in r.groups)) for r in found] == [
        ("mnist5k, bernoulli, dynamic binarisation", 2),
        ("mnist5k, gaussian, grey pixels", 1),
        (f"mnist5k, bernoulli, {GREY}", 1),
    ]  # fmt: skip
    text = markdown(found, gathered)
    assert "Metrics of different data, likelihoods or binarisations cannot be compared" in text
    assert text.count("###") == 3
    assert kind_of({"choices": {"data": "mnist"}, "data": {"val_size": 1}, "overrides": ["data.val_size=1"]}).startswith(
        "mnist, data.val_size=1"
    )


def test_runs_without_the_metric_come_last_and_unfinished_ones_are_listed(tmp_path: Path) -> None:
    runs: list[dict] = [{"beta": 1, "elbo": None}, {"beta": 2, "elbo": -90.0}, {"beta": 3, "elbo": 0, "state": "failed"}]
    runs.append({"beta": 4, "elbo": 0, "state": "running"})
    gathered = gather([made_up(tmp_path / "s", runs)])
    found = rankings(gathered)
    assert [g.settings["beta"] for g in found[0].groups] == [2, 1]
    rows = list(csv.DictReader(summary_csv(gathered).splitlines()))
    assert [row["state"] for row in rows] == ["done", "done", "failed", "interrupted"]
    assert [row["test/elbo"] for row in rows] == ["", "-90.0", "", ""]
    assert [row["beta"] for row in rows] == ["1", "2", "3", "4"]
    assert "- failed:" in markdown(found, gathered)
    assert "; best elbo first." in markdown(found, gathered)
    (plain,) = rankings(gather([made_up(tmp_path / "t", [{"beta": 1, "elbo": None}, {"beta": 2, "elbo": None}])]))
    assert notes([plain])[0].endswith("; no run has elbo, so they are in the order of the jobs.")


def test_a_run_that_did_not_end_is_in_no_ranking(tmp_path: Path) -> None:
    folder = made_up(tmp_path / "s", [{"beta": 1, "elbo": -9.0}, {"beta": 2, "elbo": 0, "state": "interrupted"}])
    (done,), (left,) = folder.glob("000_*/config.yaml"), folder.glob("001_*")
    shutil.copy(done, left / "config.yaml")
    update_state(folder, 0, seconds=3.5)
    gathered = gather([folder])
    assert [[run.number for run in group.runs] for group in rankings(gathered)[0].groups] == [[0]]
    assert [row["seconds"] for row in csv.DictReader(summary_csv(gathered).splitlines())] == ["3.5", ""]


def test_several_sweeps_are_one_where_their_settings_are(tmp_path: Path) -> None:
    first = made_up(tmp_path / "a", [{"beta": 1, "seed": 0, "elbo": -100.0}])
    second = made_up(tmp_path / "b", [{"beta": 1, "seed": 1, "elbo": -102.0}, {"beta": 2, "seed": 1, "elbo": -99.0}])
    (ranking,) = rankings(gather([first, second]))
    assert [(g.settings, len(g.runs)) for g in ranking.groups] == [({"beta": 2}, 1), ({"beta": 1}, 2)]


def test_a_setting_is_the_same_as_a_whole_number_and_as_a_default_and_a_sweep_named_twice_counts_once(tmp_path: Path) -> None:
    first = made_up(tmp_path / "a", [{"beta": 1, "seed": 0, "elbo": -100.0}, {"beta": 2.5, "seed": 0, "elbo": -110.0}])
    second = made_up(tmp_path / "b", [{"beta": 1.0, "seed": 1, "elbo": -102.0}])
    (ranking,) = rankings(gather([first, second, first / ".." / "a"]))
    assert [(g.label, len(g.runs)) for g in ranking.groups] == [("beta=1", 2), ("beta=2.5", 1)]
    assert gather([second, made_up(tmp_path / "c", [{"beta": 1, "elbo": -9.0}])]).keys == [], "nothing differs"


def test_a_run_that_repeats_another_is_not_a_seed_more(tmp_path: Path) -> None:
    """A sampler may draw a point twice, and two sweeps may have a run in common."""
    first = made_up(tmp_path / "a", [{"beta": 1, "seed": seed, "elbo": -100.0 - seed} for seed in (0, 1)])
    second = made_up(tmp_path / "b", [{"beta": 1, "seed": 1, "elbo": -101.5}, {"beta": 2, "seed": 1, "elbo": -99.0}])
    found = rankings(gather([first, second]))
    assert [(g.label, g.metrics["elbo"].count, g.metrics["elbo"].mean) for g in found[0].groups] == [
        ("beta=2", 1, -99.0),
        ("beta=1", 2, -100.5),
    ]
    (said,) = [note for note in notes(found) if "repeat" in note]
    assert said == "Left out, because they repeat the settings and seed of an earlier run: 1."
    assert not [note for note in notes(rankings(gather([first]))) if "repeat" in note]
    assert len(summary_csv(gather([first, second])).splitlines()) == 1 + 4, "the file has them all"


def test_where_runs_lie_is_no_setting(tmp_path: Path) -> None:
    where = [{"output_dir": f"/disk{i}", "data.root": f"/data{i}", "seed": i, "elbo": -1.0} for i in range(2)]
    gathered = gather([made_up(tmp_path / str(run["seed"]), [run]) for run in where])
    assert (gathered.swept, [len(group.runs) for group in rankings(gathered)[0].groups]) == (["seed"], [2])


def test_settings_alike_to_four_digits_are_told_apart_wherever_they_are_named(tmp_path: Path) -> None:
    values = (0.0013903, 0.00139031, 0.5)
    gathered = gather([made_up(tmp_path / "s", [{"beta": value, "name": "x", "elbo": -value} for value in values])])
    (ranking,) = found = rankings(gathered)
    labels = ["beta=0.0013903", "beta=0.00139031", "beta=0.5"]
    assert [group.label for group in ranking.groups] == labels == [run.label for run in gathered.runs]
    assert [line.split(" |")[0] for line in markdown(found, gathered).splitlines()[-3:]] == [f"| {label[5:]}" for label in labels]
    drawn = page(gathered, found, {}, {})
    assert all(f'data-value="{value}">' in drawn and f"</span>{value}</td>" in drawn for value in values)
    text = io.StringIO()
    Console(file=text, width=160).print(terminal_table(ranking, gathered.keys))
    assert [line.split()[0] for line in text.getvalue().splitlines()[-3:]] == [label[5:] for label in labels]


@pytest.mark.parametrize(
    ("metrics", "directions", "sentence"),
    [
        (["val/elbo"], ["maximize"], "best by val/elbo: job 002 (beta=4), val/elbo −80.00, test elbo −99.00."),
        (["val/elbo"], ["minimize"], "best by val/elbo: job 000 (beta=1), val/elbo −90.00, test elbo −90.00."),
        (["test/elbo"], ["maximize"], "best by test/elbo: job 000 (beta=1), test/elbo −90.00."),
        (["val/elbo", "val/nll"], ["maximize", "minimize"], "Pareto front of val/elbo and val/nll: jobs 001, 002."),
        (["val/nothing"], ["maximize"], None),
    ],
)
def test_a_search_is_summarised_by_its_own_metrics(
    tmp_path: Path, metrics: list[str], directions: list[str], sentence: str | None
) -> None:
    """The search's best is chosen by validation, whatever ranks best on the test split."""
    cases = [{"beta": b, "elbo": e} for b, e in ((1, -90.0), (2, -95.0), (4, -99.0), (8, math.nan))]
    folder = made_up(tmp_path / "s", [*cases, {"beta": 9, "elbo": 0, "state": "pruned"}])
    content = json.loads((folder / "sweep.json").read_text())
    content["search"] = {"metrics": metrics, "directions": directions, "study_name": "s", "storage": None}
    (folder / "sweep.json").write_text(json.dumps(content))
    for job, (elbo, nll) in zip(content["jobs"], ((-90.0, 9.0), (-85.0, 2.0), (-80.0, 7.0), (math.nan, 1.0)), strict=False):
        path = folder / job["folder"] / "results.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"val": {"elbo": elbo, "nll": nll}}))
    pruned = folder / content["jobs"][4]["folder"] / "results.json"
    pruned.write_text(json.dumps({"val": {"elbo": -1.0, "nll": 0.0}, "test": {"elbo": -1.0}}))
    gathered = gather([folder])
    found = rankings(gathered)
    said = [f"The search's {sentence}"] if sentence else []
    assert found_by_search(gathered) == said
    other = made_up(tmp_path / "t", [{"beta": 1, "elbo": -1.0}])
    assert found_by_search(gather([folder, other])) == [f"s: {text}" for text in said]
    assert all(text in markdown(found, gathered) and escape(text) in page(gathered, found, {}, {}) for text in said)


def test_metrics_that_are_not_finite_come_last_and_break_no_chart(tmp_path: Path) -> None:
    elbos = {1: [-math.inf, math.inf], 2: [-9.0, -7.0], 3: [math.inf, -1.0], 4: [math.nan, -1.0]}
    runs = [{"beta": b, "seed": seed, "elbo": e} for b, es in elbos.items() for seed, e in enumerate(es)]
    folder = made_up(tmp_path / "s", runs)
    for path in folder.glob("*/results.json"):
        content = json.loads(path.read_text())
        content["test"] |= {"kl": content["test"]["elbo"], "reconstruction": 1.0}
        path.write_text(json.dumps(content))
    gathered = gather([folder])
    (ranking,) = rankings(gathered)
    assert ranking.groups[0].settings == {"beta": 2}
    assert [math.isnan(group.metrics["elbo"].deviation) for group in ranking.groups] == [False, True, True, True]
    drawn = page(gathered, [ranking], {}, {})
    assert 'data-value="inf"' not in drawn
    assert 'aria-label="rate and distortion of each run"' in drawn


def test_the_page_says_what_is_best_and_draws_training_and_each_key_for_every_other(tmp_path: Path) -> None:
    runs = [{"beta": b, "model": m, "elbo": -float(b) - len(m)} for m in ("conv", "mlp") for b in (1, 4)]
    folder = made_up(tmp_path / "s", runs)
    for place in folder.glob("*/"):
        (place / "metrics.csv").write_text("kind,epoch,step,elbo\nval,0,4,-9\nval,1,8,-8\ntrain,0,4,-9\ntrain,1,8,-8\n")
    gathered = gather([folder])
    drawn = page(gathered, rankings(gathered), {}, {})
    assert "test elbo (nats): <b>−4.00</b> over 1 run, with <code>beta=1 model=mlp</code>" in drawn
    assert [f">{kind} elbo</text>" in drawn for kind in ("validation", "training")] == [True, True]
    by_beta = drawn[drawn.index("<h3>By beta</h3>") : drawn.index("<h3>By model</h3>")]
    assert re.findall(r"</span>(\S+)</span>", by_beta) == ["model=mlp", "model=conv"]


def test_odd_values_are_shown_as_they_are(tmp_path: Path) -> None:
    """Rich would read [relu] as a style, Matplotlib $ as the start of a formula, and YAML @ as an error."""
    values = ["[relu]", "[/x]", "$x_{$", "a b", "<i>"]
    runs: list[dict] = [{"name": value, "elbo": -float(i)} for i, value in enumerate(values)]
    folder = made_up(tmp_path / "s", runs)
    for place in folder.glob("*/"):
        (place / "metrics.csv").write_text("kind,epoch,step,elbo\nval,0,4,-9\nval,1,8,-8\n")  # for a legend
    for value, path in zip(values, sorted(folder.glob("*/config.yaml")), strict=True):
        assert yaml.safe_load(path.read_text())["name"] == value
    gathered = gather([folder])
    found = rankings(gathered)
    text = io.StringIO()
    Console(file=text, width=160).print(terminal_table(found[0], gathered.keys))
    assert [line.split("  ")[0].strip() for line in text.getvalue().splitlines()[-5:]] == values
    drawn = page(gathered, found, {}, {})
    assert "<i>" not in drawn
    assert drawn.count("name=&lt;i&gt;") >= 1
    assert all(f'<td class="text" data-value="{escape(value)}">' in drawn for value in values)
    assert ">$x_{$</text>" in drawn


EVIL = "<script>alert(1)</script>"


def test_nothing_from_a_file_reaches_the_page_unescaped(tmp_path: Path) -> None:
    """Labels, states, errors, kinds, names of metrics, commands and folders come from files that anyone may have written."""
    runs: list[dict] = [{"name": f"{EVIL}{i}", "likelihood": EVIL, "elbo": -float(i)} for i in range(3)]
    folder = made_up(tmp_path / "<b>s<b>", [*runs, {"name": "x", "elbo": 0, "state": "failed"}])
    content = json.loads((folder / "sweep.json").read_text())
    content["arguments"] = ["-m", EVIL]
    content["jobs"][3]["label"] = EVIL
    content["search"] = {"metrics": ["test/elbo"], "directions": ["maximize"], "study_name": EVIL, "storage": None}
    (folder / "sweep.json").write_text(json.dumps(content))
    update_state(folder, 3, state=EVIL)
    for path in folder.glob("*/results.json"):
        path.write_text(json.dumps({"test": {"elbo": -1.0, EVIL: 2.0, "kl": 1.0, "reconstruction": 2.0}}))
        (path.parent / "metrics.csv").write_text("kind,epoch,elbo\nval,0,-9\nval,1,-8\n")
    gathered = gather([folder])
    assert gathered.runs[3].state == "damaged"
    gathered.runs[3].state, gathered.runs[3].error = f'"{EVIL}', f"'{EVIL}\x1b[2J"  # the page does not rely on a schema
    found = rankings(gathered)
    strips = Strips("data:,", [Strip(EVIL, '"><script>', "data:,")], (1, 1))
    drawn = page(gathered, found, {found[0].kind: strips}, {EVIL: "<svg></svg>"})
    assert drawn.count("<script") == 1, "the page's own"
    assert "<b>s" not in drawn
    assert drawn.count("&lt;script&gt;alert(1)") > 20
    assert "<svg></svg>" in drawn
    for text in ("text &#34;&lt;script&gt;", '<td class="text wrap">&#39;&lt;script', "<h1>", 'alt="samples of &lt;script'):
        assert text in drawn


def test_control_characters_reach_no_terminal_and_formulas_no_spreadsheet(tmp_path: Path) -> None:
    texts = ["=1+1", "+x", "-x", "@x", "a=b", "\x1b[31mred"]
    folder = made_up(tmp_path / "s", [{"name": json.dumps(text), "beta": -1.5, "elbo": -3.0} for text in texts])
    for text, path in zip(texts, sorted(folder.glob("*/config.yaml")), strict=True):
        path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "name": text}))
    out = io.StringIO()
    write_report([folder], Console(file=out, width=200), images=0)
    assert "\x1b" not in out.getvalue()
    assert "\\x1b[31mred" in out.getvalue()
    rows = list(csv.DictReader((folder / "summary.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["'=1+1", "'+x", "'-x", "'@x", "a=b", "\\x1b[31mred"]
    assert {row["test/elbo"] for row in rows} == {"-3.0"}, "numbers stay numbers"


@pytest.mark.parametrize(
    ("typed", "value"),
    [("@z", "@z"), ("*y", "*y"), ("'a: b'", "a: b"), ("1e-3", 0.001), ("[16,'a b']", [16, "a b"]), ("[a", "[a"), ("", "")],
)
def test_values_of_jobs_that_never_began_are_read_as_hydra_does(tmp_path: Path, typed: str, value: object) -> None:
    runs = [{"name": typed, "elbo": 0, "state": "failed"}, {"name": "b", "elbo": 0, "state": "waiting"}]
    assert [run.settings["name"] for run in gather([made_up(tmp_path / "s", runs)]).runs] == [value, "b"]


def test_a_key_that_one_sweep_leaves_alone_has_its_default_there(tmp_path: Path) -> None:
    first = made_up(tmp_path / "a", [{"beta": 1, "elbo": -100.0}])
    second = made_up(tmp_path / "b", [{"elbo": -102.0}, {"beta": 2, "elbo": 0, "state": "failed"}])
    (config,) = second.glob("000_*/config.yaml")
    config.write_text(config.read_text() + "beta: 8\nmodel: {hidden: [3]}\n")
    gathered = gather([first, second])
    assert (gathered.swept, [run.settings for run in gathered.runs]) == (["beta"], [{"beta": 1}, {"beta": 8}, {"beta": 2}])
    third = made_up(tmp_path / "c", [{"name": "x", "elbo": 0, "state": "failed"}, {"name": "y", "elbo": 0, "state": "failed"}])
    assert [run.label for run in gather([first, third]).runs] == ["beta=1", "name=x", "name=y"], "what is not known is not said"


def test_only_what_was_overridden_and_is_a_number_is_read(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path / "s", ["-m"])
    for beta, model in ((1, "mlp"), (2, "conv")):
        texts = [f"+beta={beta}", f"model={model}", "~callbacks", "hydra.job.name=x", "sweep=seeds", "name="]
        folder = sweep.folder / sweep.add(texts, "").folder
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(f"choices: {{model: {model}}}\nmodel: {{hidden: [3]}}\nbeta: {beta}\nname: null\n")
        (folder / "results.json").write_text('{"test": {"elbo": -1, "is_best": true, "note": "x"}, "val": {}}')
        (folder / "metrics.csv").write_text("kind,epoch,step,elbo\nval,0,4,-9\ntrain,0,4,-7\nval,1,8,\n")
        sweep.set_state(sweep.jobs[-1], "done")
    sweep.save()
    gathered = gather([sweep.folder])
    assert gathered.swept == ["beta", "model"]
    assert gathered.runs[1].settings == {"beta": 2, "model": "conv", "name": None}
    assert gathered.runs[1].metrics == {"test": {"elbo": -1.0}, "val": {}}
    assert gathered.runs[1].curve("val", "elbo") == [(1, -9.0)]


def test_kinds_name_what_metrics_depend_on() -> None:
    data = {"val_size": 1, "batch_size": 2, "root": "x", "download": False}
    given = [f"data.{name}={value}" for name, value in data.items()]
    config: dict[str, Any] = {
        "choices": {"data": "mnist", "likelihood": "bernoulli"},
        "data": data,
        "overrides": [*given, "beta=3"],
    }
    config["binarization"] = "static"
    assert kind_of(config) == "mnist, data.val_size=1, bernoulli, static binarisation"
    config["choices"]["condition"] = "label"
    assert kind_of(config).endswith("static binarisation, condition=label")
    config |= {"binarization": "none", "likelihood": {"_target_": "os.system"}}  # not looked at
    assert kind_of(config).endswith("bernoulli, grey pixels, condition=label")


def test_tables_hold_what_is_looked_at_first(tmp_path: Path) -> None:
    runs = [{"beta": beta, "name": "a|b", "elbo": -float(beta)} for beta in range(1, 23)]
    gathered = gather([made_up(tmp_path / "s", [*runs, {"beta": 0, "name": "c", "elbo": None}])])
    (ranking,) = rankings(gathered)
    assert [g.settings["beta"] for g in rankings(gathered, direction="min")[0].groups][:2] == [22, 21]
    assert columns(rankings(gathered, "nll")[0])[:2] == ["nll", "elbo"]
    assert ranking.groups[-1].settings["beta"] == 0, "without the metric"
    table = terminal_table(ranking, gathered.keys)
    assert (table.row_count, heading(ranking)) == (20, f"{ranking.kind} (best 20 of 23)")
    assert [column.header for column in table.columns] == ["beta", "name", "runs", "elbo", "nll", "kl"]
    (other,) = rankings(gathered, "new_metric", direction="max")
    assert [column.header for column in terminal_table(other, gathered.keys).columns][2:4] == ["runs", "new_metric"]
    text = markdown([ranking], gathered)
    assert "| 1 | a\\|b | 1 | −1.00 | 0.00 | 3.0000 | – |" in text
    assert "cannot be compared" not in text
    row = next(csv.DictReader(summary_csv(gathered).splitlines()))
    assert (row["test/elbo"], row["comparable"], row["error"]) == ("-1.0", "mnist5k, bernoulli, dynamic binarisation", "")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("split=train", "split=train: must be one of val, test."),
        ("images=-1", "images=-1: must be"),
        ("direction=up", "direction=up: must be one of max, min."),
        ("metric=new_metric", "add direction=max or direction=min."),
        ("metric=ssim", "metric=ssim: no run has this metric on the test split; available: elbo, nll, new_metric."),
    ],
)
def test_wrong_questions_are_refused(runner: Runner, tmp_path: Path, line: str, sentence: str) -> None:
    folder = made_up(tmp_path / "a, b", [{"beta": 1, "elbo": -1.0}])  # one folder, as typed
    outcome = runner("report", f"sweep={folder}", line)
    assert (outcome.status, outcome.err.count("\n"), sentence in outcome.err) == (2, 1, True), outcome.err


def test_settings_are_shown_as_they_are_typed() -> None:
    assert [show(v) for v in (True, None, 0.0013903843, [32, 16], "mlp", 3)] == ["true", "–", "0.00139", "[32,16]", "mlp", "3"]


def test_a_restarted_curve_counts_each_epoch_once(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("kind,epoch,step,elbo\nval,0,4,-9\nval,1,8,-8\ntrain,1,8,-7\nval,1,8,-6\n")
    run = RunRow(tmp_path, tmp_path, 0, "", "done", None, {})
    assert run.curve("val", "elbo") == [(1, -9.0), (2, -6.0)]
    assert run.curve("val", "kl") == []


def test_a_value_far_from_the_rest_is_cut_off_and_counted(tmp_path: Path) -> None:
    runs = [{"beta": beta, "elbo": -100.0 - beta} for beta in range(8)]
    gathered = gather([made_up(tmp_path / "s", [*runs, {"beta": 8, "elbo": 1e6}])])
    drawn = charts.key_against_metric(gathered.runs, "beta", [], "elbo", "test")
    assert drawn is not None
    assert ">1 run off scale</text>" in drawn


@pytest.mark.parametrize(
    "places", [(0.00037, 0.007005, 0.007692, 0.01742, 0.01933), (0.5, 3.0, 3.1, 3.2), (0.25, 1, 2, 8), (1, 2, 4, 8)], ids=str
)
def test_the_labels_of_an_axis_do_not_meet(tmp_path: Path, places: Sequence[float]) -> None:
    """The few trials of a search lie anywhere; each value of a grid has a label."""
    gathered = gather([made_up(tmp_path / "s", [{"beta": place, "elbo": -place} for place in places])])
    drawn = charts.key_against_metric(gathered.runs, "beta", [], "elbo", "test")
    assert drawn is not None
    ticks = drawn[drawn.index("matplotlib.axis_1") : drawn.index("matplotlib.axis_2")]
    found = re.findall(r"<text [^>]*?text-anchor: middle[^>]*? x=\"([\d.]+)\"[^>]*>([\d.]+)</text>", ticks)
    labels = sorted((float(x), len(label)) for x, label in found)
    assert len(labels) >= 2, drawn
    width = 5.0  # width of a digit, in points
    for (x, length), (after, more) in itertools.pairwise(labels):
        assert after - x > width * (length + more) / 2
    if places[0] in (0.25, 1):
        assert len(labels) == len(places)


@pytest.fixture
def swept(sweeps: Sweeps) -> Sweeps:
    arguments = ("-m", *TINY[:4], "likelihood=bernoulli,gaussian", "beta=1,4", "seed=0,1", "latent_dim=2")
    outcome = sweeps(*arguments)
    assert outcome.status == 0, outcome.err
    assert "report.html" in outcome.out
    return sweeps


def test_the_page_stands_alone_and_shows_all_its_pictures(swept: Sweeps, tmp_path: Path) -> None:
    page = (swept.folder / "report.html").read_text()
    assert len(page) < 3e6
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)|https?://|url\((?!#)|@import""", page)
    assert page.count("<svg") == page.count("</svg>") >= 14
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "drawings do not share identifiers"
    assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', page)) <= {(i, "") for i in ids} | {("", i) for i in ids}
    assert not re.findall(r"#f0f0[0-9a-f]{2}", page), "every stand-in colour was replaced"
    assert page.count("<img ") == 2 * (1 + 2 * 4), "of each kind the originals, and two strips a run"
    # TensorBoard calls the runs by their overrides
    multiplexer = pytest.importorskip("tensorboard.backend.event_processing.plugin_event_multiplexer")
    runs = multiplexer.EventMultiplexer().AddRunsFromDirectory(str(swept.folder)).Runs()
    assert any(re.fullmatch(r"003_\w{4}/likelihood=bernoulli beta=4 seed=1", run) for run in runs), runs
    # the same again, over each half of it, and requests that fail
    outcome = swept(f"sweep={swept.folder}", "metric=kl", "images=0", f"folder={tmp_path / 'again'}", command="report")
    assert outcome.status == 0, outcome.err
    assert "<img" not in (tmp_path / "again" / "report.html").read_text()
    both = f"sweep={swept.folder},{swept.folder}"
    for line, sentence in (
        (["sweep=nowhere"], "nowhere: no such folder."),
        ([both], "folder is not set"),
        ([], "not set"),
    ):
        outcome = swept(*line, command="report")
        assert (outcome.status, sentence in outcome.err) == (2, True), outcome.err
    in_a_browser(swept.folder / "report.html", tmp_path)


PROBE = "<script>window.problems = []; window.onerror = (message) => problems.push(message);</script>"
CHECK = """<script>
  addEventListener("load", () => {
    const whole = document.documentElement;
    for (const image of document.images) if (!image.naturalWidth) problems.push("an image does not show");
    for (const drawing of document.querySelectorAll("svg"))
      if (drawing.getBoundingClientRect().height < 40) problems.push("a drawing is flat");
    if (whole.scrollWidth > innerWidth) problems.push("wider than the window: " + whole.scrollWidth);
    const table = document.querySelector("table.sortable"), head = table.tHead.rows[0].cells[3];
    const column = () => [...table.tBodies[0].rows].map((row) => Number(row.cells[3].dataset.value));
    for (const sign of [1, -1]) { // it comes sorted, best first, and the first click turns it around
      head.querySelector("button").click();
      const [sorted, now] = [column().sort((a, b) => sign * (a - b)), column()];
      if (sorted.some((value, i) => value !== now[i])) problems.push("not sorted: " + now);
    }
    parent.postMessage([innerWidth, problems.join("; ")], "*");
  });
</script>"""


# frames, since a headless browser's window is never narrower than 500 pixels
FRAMES = """<body><script>
  onmessage = ({data: [width, problems]}) => document.body.setAttribute(`data-at-${width}`, `[${problems}]`);
</script>
<iframe src="probed.html" width="390" height="900"></iframe>
<iframe src="probed.html" width="1280" height="900"></iframe>"""


def in_a_browser(path: Path, folder: Path) -> None:
    """No errors, every image decoded, nothing wider than the window, and tables that sort; skips where there is no chromium."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no chromium to look at the page with")
    text = path.read_text().replace("<head>", f"<head>{PROBE}").replace("</body>", f"{CHECK}</body>")
    (folder / "probed.html").write_text(text)
    (folder / "frames.html").write_text(FRAMES)
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=3000",
        f"--user-data-dir={folder / 'profile'}",
    ]
    done = subprocess.run(
        [browser, *options, "--dump-dom", f"file://{folder / 'frames.html'}"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    found = dict(re.findall(r'data-at-(\d+)="\[(.*?)\]"', done.stdout))
    assert found == {"390": "", "1280": ""}, (found, done.stderr[-500:])


def test_an_unfinished_sweep_is_summarised_too(runner: Runner, tmp_path: Path) -> None:
    folder = made_up(tmp_path / "s", [{"beta": 1, "elbo": 0, "state": "running"}, {"beta": 2, "elbo": 0, "state": "waiting"}])
    outcome = runner("report", f"sweep={folder}")
    assert outcome.status == 0, outcome.err
    assert "No run has finished yet." in outcome.out
    page = (folder / "report.html").read_text()
    assert "2 jobs: 1 interrupted, 1 waiting.<br>" in page
    assert re.findall(r'<td class="text \w+">(\w+)</td><td class="text">([^<]*)<', page) == [
        ("interrupted", "beta=1"),
        ("waiting", "beta=2"),
    ]
