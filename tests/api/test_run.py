"""A `Run` in Python and in a notebook: its pictures, one line, a page; and `vl.evaluate`, `vl.compose`, `vl.load`, `vl.sweep`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vae_lightning as vl
from tests.api.conftest import TINY
from tests.running import Runner
from vae_lightning.runs.folder import find_run
from vae_lightning.sweeps.sweeper import JobsFailed

NLL = ("nll.samples=4", "nll.images=20")


def test_a_figure_is_the_file_or_is_drawn(run: vl.Run) -> None:
    with Image.open(run.folder / "figures" / "samples.png") as file:
        assert np.array_equal(np.asarray(run.figure("samples")), np.asarray(file))
    assert run.figure("kl_per_dimension").size[0] > 100  # only training draws it
    assert not (run.folder / "figures" / "interpolations.png").exists()
    assert run.figure("interpolations", rows=1, columns=3).size[0] > 10
    assert run.figure("samples", rows=1, columns=2).size != run.figure("samples").size
    assert not (run.folder / "generated").exists()


def test_a_figure_that_cannot_be_had_is_one_sentence(run: vl.Run) -> None:
    with pytest.raises(vl.UserError, match=r"figure=sample: unknown picture. Did you mean 'samples'\? Allowed: .*traversals"):
        run.figure("sample")
    with pytest.raises(vl.UserError, match="unknown picture"):
        run.figure("../figures/samples")
    with pytest.raises(vl.UserError, match=r"samples\.rows=0: must be"):
        run.figure("samples", rows=0)
    with pytest.raises(vl.UserError, match=r"kl_per_dimension\.rows: unknown key. kl_per_dimension has no settings"):
        run.figure("kl_per_dimension", rows=1)
    with pytest.raises(vl.RunError, match="frames"):
        run.figure("training_film")


def test_a_damaged_figure_is_named(folder: Path, run: vl.Run) -> None:
    other = vl.Run(folder, run.config, folder / "checkpoints" / "best.ckpt")
    (folder / "figures").mkdir()
    (folder / "figures" / "samples.png").write_bytes(b"nothing")
    with pytest.raises(vl.RunError, match=r"samples\.png is damaged"):
        other.figure("samples")
    assert "<img" not in other._repr_html_()


def test_a_notebook_shows_results_and_pictures(run: vl.Run) -> None:
    page = run._repr_html_()
    assert page.count('<img alt="') == 2
    assert "data:image/png;base64," in page
    assert f"<td>{run.results['test']['elbo']:.2f}</td>" in page
    assert "http" not in page
    assert repr(run) == f"<Run {run.folder}: test elbo {run.results['test']['elbo']:.2f}>"


def test_nothing_of_a_foreign_run_becomes_html(folder: Path, run: vl.Run) -> None:
    config = run.config.copy()
    config.name = "<script>alert(1)</script>"
    (folder / "results.json").write_text(json.dumps({"test": {"elbo": "<script>"}}))
    other = vl.Run(folder, config, run.checkpoint)
    assert "<script>" not in other._repr_html_()
    assert repr(other).startswith("<Run ")


def test_evaluate_gives_what_the_command_writes(runner: Runner) -> None:
    run = vl.train(*TINY)
    values = vl.evaluate(run, measures=["nll"], nll={"samples": 4, "images": 20})
    written = run.results["test"]
    assert {name: written[name] for name in values} == json.loads(json.dumps(values))
    assert values["nll_samples"] == 4
    other = vl.train(*TINY)
    assert runner("evaluate", f"run={other.folder}", "measures=[nll]", *NLL).status == 0
    assert json.loads((other.folder / "results.json").read_text())["test"] == json.loads(json.dumps(written))


def test_evaluate_takes_a_path_a_split_and_a_checkpoint(run: vl.Run) -> None:
    by_path = vl.evaluate(str(run.folder), *NLL, measures=["nll"], split="val")
    assert by_path["elbo"] == pytest.approx(run.results["val"]["elbo"])
    vl.evaluate(run, measures=[], checkpoint="last")
    assert "test_last" in run.results
    assert find_run(run.folder).results == run.results


def test_evaluate_refuses_what_the_command_refuses(run: vl.Run) -> None:
    with pytest.raises(vl.UserError, match=r"measures=nnl: unknown measure. Did you mean 'nll'\?"):
        vl.evaluate(run, measures=["nnl"])
    with pytest.raises(vl.UserError, match="split=tests: must be one of"):
        vl.evaluate(run, split="tests")
    with pytest.raises(vl.UserError, match="would have no effect: nll is not measured"):
        vl.evaluate(run, measures=["probes"], nll={"samples": 4})
    with pytest.raises(vl.UserError, match=r"run=nowhere: no such file or folder"):
        vl.evaluate("nowhere")
    with pytest.raises(vl.UserError, match=r"give it to vl\.evaluate as its argument run"):
        vl.evaluate(run, "run=x")
    with pytest.raises(vl.UserError, match="unknown key"):
        vl.evaluate(run, nll={"sample": 4})
    with pytest.raises(vl.UserError, match="device=<object"):
        vl.evaluate(run, device=object())


def test_load_gives_the_vae_of_a_run(run: vl.Run) -> None:
    weights, own = vl.load(run.folder).state_dict(), run.vae.state_dict()
    assert all(bool((weights[name] == own[name]).all()) for name in own)


def test_compose_gives_the_whole_configuration() -> None:
    config = vl.compose("model=conv", "beta=4")
    assert (config.model.channels, config.beta, config.beta_schedule.value) == ([32, 64], 4, 4)
    assert "hydra" not in config
    with pytest.raises(vl.UserError, match=r"modle=conv: unknown"):
        vl.compose("modle=conv")
    with pytest.raises(vl.UserError, match=r"use vl\.sweep"):
        vl.compose("-m")


def test_a_sweep_gives_its_runs_in_order(folder: Path) -> None:
    runs = vl.sweep(*TINY, "beta=1,2", "seed=0", "model=mlp")
    assert [run.config.beta for run in runs] == [1, 2]
    (sweep,) = folder.glob("outputs/sweeps/mnist5k-mlp/*")
    assert {run.folder.parent for run in runs} == {sweep}
    assert (sweep / "summary.csv").is_file()
    assert runs[0].results["test"]["elbo"] == vl.train(*TINY).results["test"]["elbo"]
    assert [run.folder for run in vl.sweep(f"resume_sweep={sweep}")] == [run.folder for run in runs]


def test_a_sweep_goes_on_after_a_failure_and_then_raises(folder: Path) -> None:
    with pytest.raises(JobsFailed, match=r"1 of 2 jobs failed; run them again with resume_sweep=outputs") as error:
        vl.sweep(*TINY, "optimizer.lr=1e-3,1e30", "hydra.sweeper.report=false")
    assert isinstance(error.value, vl.RunError)
    assert [run.config.optimizer.lr for run in error.value.runs] == [1e-3]


def test_a_sweep_refuses_what_the_command_refuses(folder: Path) -> None:
    for overrides, message in {
        ("modle=a,b",): "unknown",
        ("-m", "beta=1"): "overrides only",
        ("beta=interval(0,1)",): "an interval has no grid",
    }.items():
        with pytest.raises(vl.UserError, match=message):
            vl.sweep(*overrides)
    assert list(folder.iterdir()) == []


def test_a_search_gives_its_runs(folder: Path) -> None:
    pytest.importorskip("optuna")
    runs = vl.sweep(*TINY, "sweep=optuna", "hydra.sweeper.n_trials=2", "hydra.sweeper.report=false")
    assert 1 <= len(runs) <= 2
