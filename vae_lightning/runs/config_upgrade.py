"""`config.yaml` of schema version 1, in the names of today: the one table of old names. Imports no torch."""

from __future__ import annotations

from typing import Any

SCHEMA_VERSION = 2

# (module of then, module of now): classes, as `then: now` where their name changed
_MOVED: dict[tuple[str, str], dict[str, str]] = {
    ("architectures", "models.architectures"): {},
    ("callbacks.checkpoints", "training.callbacks"): {},
    ("callbacks.early_stopping", "training.callbacks"): {},
    ("callbacks.figures", "training.callbacks"): {},
    ("callbacks.film", "training.callbacks"): {},
    ("callbacks.progress", "training.callbacks"): {},
    ("conditions", "models.conditions"): {},
    ("data.mnist", "data"): {},
    ("data.mnist5k", "data"): {},
    ("data.sprites", "data"): {},
    ("feedback", "schedules"): {},
    ("hierarchies", "models.hierarchies"): {},
    ("likelihoods", "models.likelihoods"): {"Categorical": "CategoricalLikelihood"},
    ("loggers", "training.loggers"): {},
    ("lr_schedules", "schedules"): {"Cosine": "CosineLR", "MultiStep": "MultiStepLR"},
    ("objectives.kl", "objectives.kl"): {"Capacity": "CapacityKL", "FreeBits": "FreeBitsKL", "Plain": "PlainKL"},
    ("objectives.penalty", "objectives.penalty"): {
        "DIP": "DIPPenalty",
        "Factor": "FactorVAEPenalty",
        "MMD": "MMDPenalty",
        "RAE": "RAEPenalty",
        "TotalCorrelation": "TotalCorrelationPenalty",
    },
    ("posteriors", "models.posteriors"): {
        "Categorical": "CategoricalPosterior",
        "PlainCode": "PointMass",
        "VonMisesFisher": "VonMisesFisherPosterior",
    },
    ("priors", "models.priors"): {"Vamp": "VampPrior"},
}


def upgrade_config(content: dict[str, Any]) -> dict[str, Any]:
    """A run's configuration in today's names; one that is not of schema version 1 is returned unchanged.

    Class names (`_target_`) are translated, and `facts` becomes `data_spec`. What a name means did not change, so a run made
    before evaluates to the same figures and resumes bit for bit.
    """
    if content.get("schema_version") != 1:
        return content
    renamed = {"data_spec" if key == "facts" else key: _upgraded(value) for key, value in content.items()}
    return {**renamed, "schema_version": SCHEMA_VERSION}


def _upgraded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: current_target(part) if key == "_target_" else _upgraded(part) for key, part in value.items()}
    return [_upgraded(part) for part in value] if isinstance(value, list) else value


def current_target(target: Any) -> Any:
    """Today's dotted name of a class that was named `target`; any other value unchanged."""
    if not isinstance(target, str):
        return target
    module, _, name = target.rpartition(".")
    for (then, now), classes in _MOVED.items():
        if module == f"vae_lightning.{then}":
            return f"vae_lightning.{now}.{classes.get(name, name)}"
    return target
