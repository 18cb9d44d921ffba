"""The numbers that the charts of a sweep's page show."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from tests.reports.sweep.test_report import made_up
from vae_lightning.reports.sweep import charts, svg
from vae_lightning.reports.sweep import rate_distortion as plane
from vae_lightning.reports.sweep.gather import Gathered, gather
from vae_lightning.reports.sweep.ranking import rankings

KL = {1: [20.0, 22.0, 27.0], 4: [8.0, 9.0, 7.0]}
RECONSTRUCTION = {1: [80.0, 81.0, 85.0], 4: [100.0, 104.0, 99.0]}


@pytest.fixture
def gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gathered:
    """β of 4 and 1 with three seeds each; charts stay Matplotlib figures instead of becoming SVG."""
    for module in (charts, plane):
        monkeypatch.setattr(module, "to_svg", lambda figure, label: figure)
    cases = [(beta, seed) for beta in (4, 1) for seed in range(3)]
    runs = [{"beta": b, "seed": s, "elbo": -KL[b][s] - RECONSTRUCTION[b][s]} for b, s in cases]
    folder = made_up(tmp_path / "s", runs)
    for (beta, seed), place in zip(cases, sorted(p.parent for p in folder.glob("*/results.json")), strict=True):
        content = json.loads((place / "results.json").read_text())
        metrics = {
            "kl": KL[beta][seed],
            "reconstruction": RECONSTRUCTION[beta][seed],
            "kl_per_dimension": [1.0, 5.0, float(beta)],
        }
        content["test"] |= metrics
        (place / "results.json").write_text(json.dumps(content))
        (place / "metrics.csv").write_text(f"kind,epoch,kl\nval,0,{beta + seed}\nval,1,{beta + 2 * seed}\n")
    return gather([folder])


def axes(drawn: Any) -> Any:
    assert isinstance(drawn, Figure)
    return drawn.axes[0]


def test_learning_curves_are_means_with_a_band_of_one_standard_deviation(gathered: Gathered) -> None:
    (ranking,) = rankings(gathered)
    assert [group.settings["beta"] for group in ranking.groups] == [1, 4]
    ax = axes(charts.learning_curves(ranking.groups, "val", "kl"))
    worse, best = ax.lines  # the best is drawn last, above the rest
    assert (best.get_xdata().tolist(), best.get_ydata().tolist()) == ([1, 2], [2.0, 3.0])
    assert worse.get_ydata().tolist() == [5.0, 6.0]
    band = ax.collections[1].get_paths()[0].vertices
    assert {(x, round(y, 6)) for x, y in band.tolist()} == {(1.0, 1.0), (1.0, 3.0), (2.0, 1.0), (2.0, 5.0)}


def test_the_plane_has_rate_to_the_right_its_curve_in_the_order_of_beta_and_lines_of_equal_elbo(gathered: Gathered) -> None:
    (ranking,) = rankings(gathered, "kl")  # the best is β = 4
    ax = axes(plane.rate_distortion(ranking, gathered.keys))
    points, curve, *equal = ax.lines
    assert sorted(map(tuple, points.get_xydata())) == sorted((KL[b][s], RECONSTRUCTION[b][s]) for b in KL for s in range(3))
    assert curve.get_xydata() == pytest.approx(np.array([(23.0, 82.0), (8.0, 101.0)]))
    assert len(equal) == 7
    assert all(np.ptp(line.get_xydata().sum(axis=1)) < 1e-9 for line in equal)
    assert [text.get_text() for text in ax.texts] == ["β=1", "β=4"]


def test_each_key_has_the_means_and_deviations_of_its_values(gathered: Gathered) -> None:
    ax = axes(charts.key_against_metric(gathered.runs, "beta", [], "kl", "test"))
    (container,) = ax.containers
    line, _, (bars,) = container.lines
    assert line.get_xydata() == pytest.approx(np.array([(1.0, 23.0), (4.0, 8.0)]))
    half = [np.ptp(np.array(segment)[:, 1]) / 2 for segment in bars.get_segments()]
    assert half == pytest.approx([statistics.stdev(KL[1]), statistics.stdev(KL[4])])


def test_the_heat_map_has_a_row_for_each_run_sorted_by_kl(gathered: Gathered) -> None:
    (image,) = axes(charts.kl_map(gathered.runs)).images
    assert np.asarray(image.get_array()).tolist() == [[5.0, 4.0, 1.0]] * 3 + [[5.0, 1.0, 1.0]] * 3


def test_long_labels_of_the_heat_map_stay_apart(gathered: Gathered) -> None:
    """Long labels keep their values, which come last; the job's number is added if that is not enough."""
    runs = gathered.runs[:2]

    def names() -> list[str]:
        return [text.get_text() for text in axes(charts.kl_map(runs)).get_yticklabels()]

    for run, size in zip(runs, (32, 64), strict=True):
        run.label = f"optimizer.lr=0.001 objective/bound=elbo data.batch_size={size}"
    assert names() == ["lr=0.001 bound=elbo batch_size=32", "lr=0.001 bound=elbo batch_size=64"]
    for run in runs:
        run.label = f"{'model.hidden=[512,256] ' * 4}seed={run.number}"
    assert [name[:20] for name in names()] == ["000 hidden=[512,256]", "001 hidden=[512,256]"]
    assert all(len(name) == 50 and name.endswith("…") for name in names())


def test_settings_that_differ_by_more_than_beta_have_curves_of_their_own(gathered: Gathered) -> None:
    for run in gathered.runs:
        run.settings["model"] = "mlp" if run.settings["seed"] else "conv"
    gathered.swept.insert(0, "model")
    (ranking,) = rankings(gathered)
    assert plane.families_of(ranking, gathered.keys) == ["model=conv", "model=mlp"]
    curves = [line for line in axes(plane.rate_distortion(ranking, gathered.keys)).lines if line.get_linestyle() == "-"]
    assert [line.get_xydata()[:, 0].tolist() for line in curves] == [[20.0, 8.0], [24.5, 8.0]]


@pytest.mark.parametrize("settings", [6, 9])
def test_no_curve_joins_runs_that_differ_by_more_than_beta(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: int
) -> None:
    """A search has more settings of the other keys than there are colours."""
    monkeypatch.setattr(plane, "to_svg", lambda figure, label: figure)
    runs: list[dict] = [{"latent_dim": d, "beta": b, "elbo": -1.0} for d in range(settings) for b in (1, 2)]
    folder = made_up(tmp_path / "s", runs)
    for i, path in enumerate(sorted(folder.glob("*/results.json"))):
        path.write_text(json.dumps({"test": {"elbo": -1.0 - i, "kl": float(i), "reconstruction": 1.0}}))
    gathered = gather([folder])
    (ranking,) = rankings(gathered)
    lines = axes(plane.rate_distortion(ranking, gathered.keys)).lines
    curves = [line for line in lines if line.get_linestyle() == "-" and len(line.get_xdata()) == 2]
    assert [len(line.get_xdata()) for line in curves] == [2] * settings if settings <= 8 else not curves
    assert sum(len(line.get_xdata()) for line in lines if line.get_linestyle() == "None") == 2 * settings, "every run has a point"


def test_the_same_chart_is_the_same_text_in_every_process() -> None:
    """But for the prefix that keeps the ids of one page apart: Matplotlib's own ids are random."""

    def drawn() -> str:
        with svg.drawing():
            figure = svg.new_figure()
            figure.add_subplot().plot([0, 1], [1, 2], "o-")
            return re.sub(r"\bd\d+-", "", svg.to_svg(figure, "a line"))

    assert drawn() == drawn()
