"""Posteriors and priors in the commands: run folders, pictures, settings, and what is refused."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.running import SHORT, Runner, metrics_rows
from vae_lightning.config import instantiate as instantiation
from vae_lightning.models.posteriors import CategoricalPosterior, Joint
from vae_lightning.models.priors import VampPrior
from vae_lightning.runs import folder as runs

TINY = (
    "model.hidden=[16]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=2",
    "trainer.limit_val_batches=1",
    "logger=none",
)


def test_a_plain_auto_encoder_has_no_kl_elbo_or_nll_anywhere(runner: Runner) -> None:
    folder = runner.trained("posterior=delta", *TINY, "callbacks=early_stopping", "logger=tensorboard", "latent_dim=2")
    results = json.loads((folder / "results.json").read_text())
    absent = {"kl", "elbo", "nll", "beta"}
    assert not absent & set(results["test"])
    assert not absent & set(results["val"])
    assert results["beta"] is None
    figures = {key for row in metrics_rows(folder) for key, value in row.items() if value}
    assert not absent & figures
    assert "reconstruction" in figures
    config = runs.find_run(folder).config
    assert (config.callbacks.best.monitor, config.callbacks.best.mode) == ("val/reconstruction", "min")
    assert (config.callbacks.early_stopping.monitor, config.callbacks.early_stopping.mode) == ("val/reconstruction", "min")
    state = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["callbacks"]["best"]
    values = [float(row["reconstruction"]) for row in metrics_rows(folder) if row["kind"] == "val"]
    assert float(state["best"]) == pytest.approx(min(values))
    events = EventAccumulator(str(folder)).Reload().Tags()["scalars"]
    assert "hp/reconstruction" in events
    assert not any(tag.endswith(("/elbo", "/kl", "/beta")) for tag in events)
    log = (folder / "run.log").read_text()
    assert not any(word in log.split("results")[-1] for word in ("elbo", "kl", "nll"))
    outcome = runner("evaluate", f"run={folder}", "nll.samples=2")
    assert outcome.status == 0, outcome.err
    assert "nll was not measured" in outcome.out
    assert not absent & set(json.loads((folder / "results.json").read_text())["test"])
    assert runner("generate", f"run={folder}").status == 0
    assert {path.stem for path in (folder / "generated").glob("*")} >= {"samples", "traversals", "manifold"}


def test_codes_that_are_no_real_vectors_are_drawn_without_straight_lines(runner: Runner) -> None:
    folder = runner.trained("posterior=joint", *TINY, "latent_dim=2", "callbacks=default")
    train = json.loads((folder / "results.json").read_text())["train"]
    assert [row["kl_continuous"] for row in metrics_rows(folder) if row["kind"] == "train"][-1] == str(train["kl_continuous"])
    assert train["kl_continuous"] + train["kl_discrete"] == pytest.approx(train["kl"], abs=1e-4)
    drawn = {path.stem for path in (folder / "figures").glob("*")}
    assert {"samples", "reconstructions", "latent_scatter"} <= drawn
    assert not {"traversals", "manifold", "kl_per_dimension"} & drawn
    assert runner("generate", f"run={folder}").status == 0
    assert {path.stem for path in (folder / "generated").glob("*")} - {"training_film"} == drawn
    outcome = runner("generate", f"run={folder}", "what=traversals")
    assert outcome.status == 2
    assert "what=traversals is incompatible with posterior=joint" in outcome.err
    vae = runs.load(folder)
    assert isinstance(vae.posterior, Joint)
    assert isinstance(vae.posterior.discrete, CategoricalPosterior)
    assert 0.4 < vae.posterior.discrete.temperature.value.item() < 0.9  # as the schedule had left it in the checkpoint
    outcome = runner("evaluate", f"run={folder}", "nll.samples=2", "nll.images=20")
    assert outcome.status == 0, outcome.err
    assert "nll" in outcome.out


def test_a_vamp_prior_is_rebuilt_from_its_run(runner: Runner) -> None:
    folder = runner.trained("prior=vamp", "prior.pseudo_inputs=7", "prior.starts_from=data", *SHORT, "logger=none")
    vae = runs.load(folder)
    assert {name for name in vae.state_dict() if name.startswith("latent_prior")} == {"latent_prior.logits"}
    assert isinstance(vae.latent_prior, VampPrior)
    assert vae.latent_prior.logits.shape == (7, 1, 28, 28)
    black = vae.latent_prior.pseudo_inputs < 0.05
    assert black.sum() > 0.5 * black.numel()  # they still look somewhat like digits


WRONG = [
    ("posterior=von_mises_fisher prior=standard_normal", "posterior=von_mises_fisher is incompatible with prior=standard_normal"),
    ("prior=uniform_sphere", "posterior=diagonal is incompatible with prior=uniform_sphere"),
    ("posterior=von_mises_fisher latent_dim=1", "latent_dim=1: must be an integer of at least 2."),
    ("posterior=planar prior=vamp", "prior=vamp is incompatible with posterior=planar: it needs a density q(z|x) at any z."),
    ("posterior=delta prior=mixture", "prior=mixture is incompatible with posterior=delta"),
    ("posterior=delta beta=2", "beta=2"),
    ("posterior=categorical posterior.classes=1", "posterior.classes=1"),
    ("posterior=joint prior=uniform_categorical", "posterior=joint is incompatible with prior=uniform_categorical"),
    ("prior=vamp prior.starts_from=images", "prior.starts_from=images: must be one of noise, data."),
    ("prior=flow prior.kind=planar", "prior.kind=planar: must be one of autoregressive, coupling, spline."),
]


@pytest.mark.parametrize(("line", "sentence"), WRONG, ids=[line for line, _ in WRONG])
def test_what_does_not_go_together_is_refused_in_one_sentence(runner: Runner, line: str, sentence: str) -> None:
    outcome = runner("train", *line.split(), "trainer.max_epochs=1")
    assert outcome.status == 2
    assert sentence in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err
    assert not list(Path(runner.cwd).glob("outputs/*/*"))


def test_one_number_sets_the_classes_of_posterior_and_prior(runner: Runner) -> None:
    outcome = runner("train", "posterior=categorical", "posterior.classes=4", "latent_dim=3", "trainer.fast_dev_run=true")
    assert outcome.status == 0, outcome.err
    assert "z 12" in outcome.out
    assert CategoricalPosterior(3, 4).latent_dim == 12


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        instantiation, "requires", lambda name: ["torch>=2.8", "zuko>=1.6; extra == 'dev'", 'zuko>=1.6; extra == "flows"']
    )
    monkeypatch.setattr(instantiation, "metadata", lambda name: type("M", (), {"get_all": lambda self, key: ["dev", "flows"]})())
    for missing in ("zuko", "zuko.flows"):
        assert instantiation._install("prior", ModuleNotFoundError(name=missing)) == "pip install 'vae-lightning[flows]'"
    assert instantiation._install("prior", ModuleNotFoundError(name="other")) == "other"


def test_what_is_not_installed_is_named_where_the_package_runs_from_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(instantiation, "requires", requires)
    assert instantiation._install("prior", ModuleNotFoundError(name="zuko")) == "zuko"
