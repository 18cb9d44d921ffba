"""Translates the names in a `config.yaml` of schema version 1 to today's: the only table of old names. Imports no torch."""

from __future__ import annotations

from typing import Any

SCHEMA_VERSION = 2

# (old module, new module): classes whose names changed, as `old: new`
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


PRIOR_SAMPLER = "vae_lightning.models.samplers.PriorSampler"


def upgrade_config(content: dict[str, Any]) -> dict[str, Any]:
    """Return a run's configuration with today's names and keys.

    With schema version 1, class names (`_target_`) are translated, and `facts` becomes `data_spec`. A run made before there were
    samplers gets `sampler=prior`. So an old run evaluates to the same values, draws the same samples and resumes bit for bit.
    """
    if content.get("schema_version") == 1:
        renamed = {"data_spec" if key == "facts" else key: _upgraded(value) for key, value in content.items()}
        content = {**renamed, "schema_version": SCHEMA_VERSION}
    choices = content.get("choices")
    if content.get("schema_version") != SCHEMA_VERSION or "sampler" in content or not isinstance(choices, dict):
        return content
    return {**content, "sampler": {"_target_": PRIOR_SAMPLER}, "choices": {**choices, "sampler": "prior"}}


def _upgraded(value: object) -> object:
    if isinstance(value, dict):
        return {key: current_target(part) if key == "_target_" else _upgraded(part) for key, part in value.items()}
    return [_upgraded(part) for part in value] if isinstance(value, list) else value


def current_target(target: object) -> object:
    """Today's dotted name of a class that used to be called `target`; any other value is returned unchanged."""
    if not isinstance(target, str):
        return target
    module, _, name = target.rpartition(".")
    for (old, new), classes in _MOVED.items():
        if module == f"vae_lightning.{old}":
            return f"vae_lightning.{new}.{classes.get(name, name)}"
    return target
