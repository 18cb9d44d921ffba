"""Searches: their spaces, samplers, pruning, several objectives, and resuming."""

from __future__ import annotations

import inspect
import json
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.running import REPOSITORY
from tests.sweeps.sweeping import QUIET, TINY, Sweeps, interrupted_after_training
from vae_lightning.errors import UserError
from vae_lightning.runs import sweep_record as record
from vae_lightning.runs.study import JOURNAL, open_storage

optuna = pytest.importorskip("optuna", reason="searches need vae-lightning[sweep]")
from hydra.core.override_parser.overrides_parser import OverridesParser  # noqa: E402
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from vae_lightning.reports.sweep.search_charts import study_of  # noqa: E402
from vae_lightning.sweeps import pruning  # noqa: E402
from vae_lightning.sweeps.job import Pruned  # noqa: E402
from vae_lightning.sweeps.search_space import as_override, distribution  # noqa: E402

SEARCH = (*TINY[:-1], "sweep=optuna", "hydra.sweeper.params=null", "hydra/sweeper/sampler=random", QUIET)


def parsed(text: str):
    return OverridesParser.create().parse_override(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("k=interval(0,1)", FloatDistribution(0.0, 1.0)),
        ("k=tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("k=int(interval(2,64))", IntDistribution(2, 64)),
        ("k=tag(log,int(interval(4,64)))", IntDistribution(4, 64, log=True)),
        ("k=range(2,9)", IntDistribution(2, 8)),
        ("k=range(2,65,2)", IntDistribution(2, 64, step=2)),
        ("k=range(0.5,2.1,0.5)", FloatDistribution(0.5, 2.0, step=0.5)),
        ("k=1,2,4", CategoricalDistribution([1, 2, 4])),
        ("k=mlp,conv", CategoricalDistribution(["mlp", "conv"])),
        ("k=choice(true,false)", CategoricalDistribution([True, False])),
        ("k=choice(inf,nan,1.5)", CategoricalDistribution(["inf", "nan", 1.5])),  # sweep.json cannot hold infinity
        ("k=[32],[32,16]", CategoricalDistribution(["[32]", "[32,16]"])),
        ("k='a b',{x:1}", CategoricalDistribution(["'a b'", "{x:1}"])),
    ],
)
def test_overrides_are_search_spaces(text: str, expected: object) -> None:
    assert distribution(parsed(text)) == expected


def test_a_glob_is_a_choice_among_the_options_that_it_matches() -> None:
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    from vae_lightning.config.overrides import parse

    with initialize_config_dir(str(REPOSITORY / "conf"), version_base="1.3"):
        override = parse("posterior=glob(v*)", GlobalHydra.instance().config_loader())
        assert distribution(override) == CategoricalDistribution(["von_mises_fisher"])


def test_drawn_values_are_written_as_overrides() -> None:
    override = parsed("k=1,2")
    drawn: list[bool | float | str] = [1e-05, 0.1, 3, True, "[32,16]", "mlp"]
    assert [as_override(override, v) for v in drawn] == ["k=1e-05", "k=0.1", "k=3", "k=true", "k=[32,16]", "k=mlp"]
    assert all(parsed(as_override(override, v)).value() is not None for v in drawn)


@pytest.mark.parametrize(
    "text",
    ["k=range(5,2)", "k=tag(log,interval(0,1))", "k=interval(3,1)", "k=interval(0,inf)", "k=interval(nan,1)"],
)
def test_empty_and_endless_spaces_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="k="):
        distribution(parsed(text))


def test_a_resumed_search_goes_on_as_if_never_interrupted(sweeps: Sweeps) -> None:
    arguments = (*SEARCH, "optimizer.lr=tag(log,interval(1e-4,1e-2))", "latent_dim=2,3", "hydra.sweeper.n_trials=4")
    arguments = (*arguments, "hydra/sweeper/sampler=tpe", "hydra.sweeper.sampler.n_startup_trials=2")
    assert sweeps(*arguments, "name=whole").status == 0
    whole, figures = record.load(sweeps.folder), [r["val"]["elbo"] for r in sweeps.results()]
    with interrupted_after_training(3):
        assert sweeps(*arguments, "name=halved").status == 130
    assert sweeps.states() == ["done"] * 2 + ["interrupted"]
    assert sweeps(f"resume_sweep={sweeps.folder}").status == 0
    halved = record.load(sweeps.folder)
    values = [[o for o in job.overrides if not o.startswith("name=")] for job in halved.jobs]
    assert values == [[o for o in job.overrides if not o.startswith("name=")] for job in whole.jobs]
    assert len({str(v) for v in values}) == 4, "no point is played again"
    assert [r["val"]["elbo"] for r in sweeps.results()] == figures
    study = study_of(halved)
    assert study is not None
    assert [t.value for t in study.trials] == figures


def test_pruning_prunes_and_several_machines_may_share_a_study(sweeps: Sweeps, tmp_path: Path) -> None:
    """Learning rates with and without progress: a run that does not learn ends after its first epoch."""
    arguments = (*SEARCH, "latent_dim=2", "optimizer.lr=1e-9,1e-2", "trainer.max_epochs=4", "hydra.sweeper.study_name=shared")
    arguments = (*arguments, f"hydra.sweeper.storage=sqlite:///{tmp_path / 'study.db'}", "hydra.sweeper.n_trials=4")
    pruner = ("hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.pruner.n_warmup_steps=1")
    assert sweeps(*arguments, *pruner).status == 0
    assert sweeps(*arguments, *pruner, "hydra.sweeper.n_trials=3", "hydra.sweeper.sampler.seed=5").status == 0
    jobs, states = record.load(sweeps.folder).jobs, sweeps.states()
    assert [job.trial["number"] for job in jobs if job.trial] == [4, 5, 6], "the study was continued"
    study = study_of(record.load(sweeps.folder))
    assert study is not None
    lazy = [t for t in study.trials if t.params["optimizer.lr"] < 1e-3]
    good = [t for t in study.trials if t.params["optimizer.lr"] > 1e-3]
    assert {t.state for t in good} == {TrialState.COMPLETE}
    after_a_good_one = [t for t in lazy if any(g.number < t.number for g in good)]
    assert after_a_good_one, "the seeds draw both"
    assert {t.state for t in after_a_good_one} == {TrialState.PRUNED}
    assert all(max(t.intermediate_values) < 4 for t in after_a_good_one), "they ended early"
    assert states == ["pruned" if t.state == TrialState.PRUNED else "done" for t in study.trials[4:]]


def test_a_pruner_sees_each_epoch_once_and_no_sanity_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Epoch 1 was reported before an interruption (Optuna warns where it is again); epoch 3, of a low figure, is the last."""
    monkeypatch.setattr(pruning, "instantiate_node", lambda *_: optuna.pruners.ThresholdPruner(lower=-9.0))
    monkeypatch.setattr(pruning.HydraConfig, "get", dict)
    study = optuna.create_study(study_name="s", storage=open_storage(str(tmp_path / JOURNAL)))
    trial = study.ask()
    trial.report(-5.0, 1)
    callback = pruning.Pruning(
        tmp_path, 0, {"metrics": ["val/elbo"], "study_name": "s", "storage": None}, {"id": trial._trial_id}
    )

    def validate(elbo: float, epoch: int, sanity_checking: bool = False) -> None:
        trainer: Any = SimpleNamespace(sanity_checking=sanity_checking, is_global_zero=True, current_epoch=epoch)
        trainer.callback_metrics, trainer.strategy = {"val/elbo": elbo}, SimpleNamespace(broadcast=bool)
        callback.on_validation_end(trainer, None)  # type: ignore[arg-type]

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        validate(-1.0, 0)
        validate(-1.0, 4, sanity_checking=True)
        validate(-2.0, 1)
        with pytest.raises(Pruned, match="pruned after epoch 3"):
            validate(-99.0, 2)
    assert study.trials[0].intermediate_values == {1: -5.0, 2: -2.0, 3: -99.0}
    assert json.loads(record.state_path(tmp_path, 0).read_text()) == {"pruned": True, "epoch": 3}


def test_several_objectives_have_a_front(sweeps: Sweeps) -> None:
    arguments = (
        *TINY[:-1],
        "sweep=rate_distortion",
        "hydra.sweeper.n_trials=4",
        "latent_dim=2,3",
        "trainer.limit_train_batches=15",
    )
    outcome = sweeps(*arguments)
    assert outcome.status == 0, outcome.err
    study = study_of(record.load(sweeps.folder))
    assert study is not None
    pairs = [(r["val"]["kl"], r["val"]["reconstruction"]) for r in sweeps.results()]
    undominated = [p for p in pairs if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in pairs)]
    assert sorted(tuple(t.values) for t in study.best_trials) == sorted(undominated)
    assert "The Pareto front: no other trial is better in both" in (sweeps.folder / "report.html").read_text()


def test_trials_that_fail_are_told_so_and_tried_again(sweeps: Sweeps) -> None:
    arguments = (*SEARCH, "latent_dim=2", "optimizer.lr=1e-3,1e30", "optimizer=sgd", "hydra.sweeper.n_trials=4")
    arguments = (*arguments, "trainer.log_every_n_steps=1")
    outcome = sweeps(*arguments)
    assert outcome.status == 1
    study = study_of(record.load(sweeps.folder))
    assert study is not None
    failed = [t.state == TrialState.FAIL for t in study.trials]
    assert [state == "failed" for state in sweeps.states()] == failed
    assert any(failed)
    assert sweeps(f"resume_sweep={sweeps.folder}").status == 1
    study = study_of(record.load(sweeps.folder))
    assert study is not None
    assert len(study.trials) == 4 + sum(failed)
    assert [t.params for t in study.trials[4:]] == [t.params for t in study.trials[:4] if t.state == TrialState.FAIL]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("hydra.sweeper.n_trials=0", "hydra.sweeper.n_trials=0"),
        ("hydra.sweeper.n_jobs=0", "hydra.sweeper.n_jobs=0"),
        ("hydra.sweeper.directions=[up]", "hydra.sweeper.directions=up: must be one of minimize, maximize."),
        ("hydra.sweeper.directions=[maximize,minimize]", "one is needed for each of metrics"),
        ("sweep=rate_distortion hydra/sweeper/pruner=median", "pruning needs a single metric"),
        ("trainer.fast_dev_run=true", "produces no results to optimise"),
        ("hydra.sweeper.params=null", "Nothing to search"),
        ("hydra/sweeper/sampler=tp", "Did you mean 'tpe'?"),
        ("beta=tag(log,interval(0,1))", "beta=tag(log,interval(0,1))"),
    ],
)
def test_wrong_requests_end_with_one_sentence(sweeps: Sweeps, line: str, sentence: str) -> None:
    outcome = sweeps(*(() if line.startswith("sweep=") else ("sweep=optuna",)), *TINY, *line.split())
    assert outcome.status == 2
    assert sentence in outcome.err
    assert outcome.err.count("\n") == 1


def test_metrics_that_are_not_there_are_named(sweeps: Sweeps) -> None:
    outcome = sweeps(*SEARCH, "latent_dim=2,3", "hydra.sweeper.metrics=[val/elbow]")
    assert outcome.status == 1
    assert "has no val/elbow; it has val/elbo," in outcome.err


YAMLS = sorted(p for folder in ("", "sampler", "pruner") for p in (REPOSITORY / "conf/hydra/sweeper" / folder).glob("*.yaml"))
# arguments that yaml cannot express, or that Optuna has deprecated
LEFT_OUT = {
    "TPESampler": {"consider_prior", "prior_weight", "consider_magic_clip", "consider_endpoints", "gamma", "weights"}
    | {"constraints_func", "warn_independent_sampling"},
    "CmaEsSampler": {"independent_sampler", "source_trials", "restart_strategy", "inc_popsize"},
    "GPSampler": {"independent_sampler", "constraints_func"},
    "NSGAIISampler": {"mutation", "crossover", "constraints_func", "elite_population_selection_strategy"}
    | {"child_generation_strategy", "after_trial_strategy"},
}  # fmt: skip


@pytest.mark.parametrize("path", YAMLS, ids=lambda p: p.stem)
def test_yaml_lists_every_argument(path: Path) -> None:
    from vae_lightning.sweeps.grid import GridSweeper
    from vae_lightning.sweeps.search import OptunaSweeper

    content = yaml.safe_load(path.read_text())
    defaults = {name for entry in content.pop("defaults", []) for name in entry}
    module, _, name = content["_target_"].rpartition(".")
    own = {"GridSweeper": GridSweeper, "OptunaSweeper": OptunaSweeper}
    made = own.get(name) or getattr(optuna.pruners if "pruners" in module else optuna.samplers, name)
    keys = {key for key in content if not key.startswith("_")} | defaults
    assert keys == set(inspect.signature(made).parameters) - {"self"} - LEFT_OUT.get(name, set()) - {"args", "kwargs"}


def test_every_sampler_samples(sweeps: Sweeps) -> None:
    """Ask and tell without training: a study of a function, with each sampler as its yaml file configures it."""
    from omegaconf import OmegaConf

    from vae_lightning.config.instantiate import instantiate_node

    for path in (REPOSITORY / "conf/hydra/sweeper/sampler").glob("*.yaml"):
        if path.stem == "cmaes":
            pytest.importorskip("cmaes")
        node = {**yaml.safe_load(path.read_text()), **({"n_startup_trials": 3} if path.stem in ("gp", "tpe") else {})}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            study = optuna.create_study(
                sampler=instantiate_node(OmegaConf.create({"hydra": {"sweeper": {"sampler": node}}}), "hydra.sweeper.sampler")
            )
            for _ in range(5):
                trial = study.ask({"x": FloatDistribution(-1, 1), "n": IntDistribution(1, 4)})
                study.tell(trial, trial.params["x"] ** 2)
        assert len(study.trials) == 5, path.stem


def test_the_record_of_a_search_names_its_study(sweeps: Sweeps) -> None:
    assert sweeps(*SEARCH, "latent_dim=2,3", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=2").status == 0
    content = json.loads((sweeps.folder / "sweep.json").read_text())
    assert content["search"]["metrics"] == ["val/elbo"]
    assert content["search"]["storage"] is None
    moved = sweeps.folder.rename(sweeps.folder.with_name("moved"))
    study = study_of(record.load(moved))
    assert study is not None
    assert len(study.trials) == 2, "the study lies beside its runs, wherever these are"
    assert [job["trial"]["number"] for job in content["jobs"]] == [0, 1]
