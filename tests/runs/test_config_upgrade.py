"""A run made when modules and classes had other names is read as if it had been made today."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hydra.utils import get_object
from omegaconf import OmegaConf

from tests.running import SHORT, Runner
from vae_lightning.config.builtin import special_entries
from vae_lightning.runs.config_file import read_config
from vae_lightning.runs.config_upgrade import current_target, upgrade_config

# every `_target_` of the configuration that shipped with schema version 1
OLD = """
architectures: Conv MLP ResNet
callbacks.checkpoints: BestCheckpoint LastCheckpoint
callbacks.early_stopping: EarlyStopping
callbacks.figures: Pictures
callbacks.film: Film
callbacks.progress: TrainingProgress
conditions: Label NoCondition
data.mnist: FashionMNIST MNIST
data.mnist5k: MNIST5k
data.sprites: Sprites
feedback: Control GECO
hierarchies: Ladder NoHierarchy TwoLayer
likelihoods: Bernoulli Categorical ContinuousBernoulli DiscretizedLogistic Gaussian GaussianLearned GaussianOptimal
likelihoods: GaussianPerPixel Laplace
loggers: TensorBoard
lr_schedules: Cosine MultiStep NoLRSchedule
objectives: Objective
objectives.bound: CIWAE ELBO IWAE MIWAE PIWAE
objectives.gradient: DoublyReparameterised Reparameterised StickingTheLanding
objectives.kl: Capacity FreeBits Plain
objectives.penalty: DIP Factor MMD NoPenalty RAE TotalCorrelation
posteriors: Categorical Diagonal FullCovariance InverseAutoregressive Joint PlainCode PlanarFlow VonMisesFisher
priors: GaussianMixture NormalizingFlow Product StandardNormal UniformCategorical UniformSphere Vamp
schedules: Constant Cosine Cyclical Exponential Linear
"""
NAMES = [
    f"vae_lightning.{module}.{name}"
    for line in OLD.strip().splitlines()
    for module, _, names in [line.partition(": ")]
    for name in names.split()
]
# never had another name
NEW = {
    f"vae_lightning.data.{name}"
    for name in (
        "Arrays", "CIFAR10", "CIFAR100", "CelebA", "DSprites", "EMNIST", "Folder", "Frey", "KMNIST", "MedMNIST", "Omniglot",
        "QMNIST", "STL10", "SVHN", "Shapes3D", "SmallNORB", "USPS",
    )
} | {
    f"vae_lightning.models.samplers.{name}Sampler" for name in ("Prior", "Gaussian", "GMM", "KDE", "Flow", "TwoStage")
} | {
    "vae_lightning.models.architectures.UNetKL",
    "vae_lightning.training.callbacks.EMA",
    "vae_lightning.objectives.penalty.AdversarialPenalty",
    "vae_lightning.objectives.penalty.SlicedWassersteinPenalty",
}  # fmt: skip
SHIPPED = {value for _, key, value in special_entries() if key == "_target_"}


@pytest.mark.parametrize("old", NAMES)
def test_every_old_name_is_one_of_today(old: str) -> None:
    now = current_target(old)
    assert now in SHIPPED
    assert callable(get_object(str(now)))
    assert current_target(now) == now


def test_all_that_ships_had_an_old_name_or_is_new() -> None:
    ours = {name for name in SHIPPED if str(name).startswith("vae_lightning.")}
    assert {current_target(old) for old in NAMES} | NEW == ours


def downgraded(text: str) -> str:
    """A run's `config.yaml` in the names of schema version 1."""
    before = {current_target(old): old for old in NAMES}
    text = text.replace("sampler:\n  _target_: vae_lightning.models.samplers.PriorSampler\n", "").replace(
        "  sampler: prior\n", ""
    )
    text = re.sub(r"(?<=_target_: )vae_lightning[\w.]+", lambda match: before[match[0]], text)
    return text.replace("data_spec:", "facts:").replace("schema_version: 2", "schema_version: 1")


def test_an_old_run_is_read_evaluated_drawn_and_resumed(runner: Runner) -> None:
    folder = runner.trained(*SHORT, "trainer.max_epochs=1", "lr_schedule=multistep", "prior=vamp", "logger=none")
    path: Path = folder / "config.yaml"
    new = path.read_text()
    path.write_text(downgraded(new))
    assert "vae_lightning.priors.Vamp\n" in path.read_text()
    assert read_config(path) == OmegaConf.create(new)

    def nll() -> Any:
        assert runner("evaluate", f"run={folder}", "measures=[nll]", "nll.samples=3", "nll.images=20").status == 0
        return json.loads((folder / "results.json").read_text())["test"]["nll"]

    old_nll = nll()
    assert runner("generate", f"run={folder}", "what=samples").status == 0
    outcome = runner("train", f"resume={folder}", "trainer.max_epochs=2")
    assert outcome.status == 0, outcome.err
    assert OmegaConf.load(path).prior._target_ == "vae_lightning.models.priors.VampPrior"  # a resumed run has today's names
    assert json.loads((folder / "results.json").read_text())["epochs"] == 2
    assert old_nll > 0


def test_only_version_1_is_translated() -> None:
    content = {"schema_version": 2, "prior": {"_target_": "vae_lightning.priors.Vamp"}}
    assert upgrade_config(content) == content
