"""`likelihood=auto`: the likelihood that fits the data, once they are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.builtin import conf_dir

AUTO = "auto"
FITTING = {
    "binary": "bernoulli", "grey": "discretized_logistic", "colour": "discretized_logistic", "real": "gaussian_optimal",
}  # fmt: skip
# from its usual start, with a scale as wide as all levels, large images in colour made the first steps diverge
STARTS_FROM_MEAN = ("discretized_logistic",)


def resolve_likelihood(config: DictConfig, kind: str) -> None:
    """Replace `likelihood=auto` in `config`, which names no class, with the option for data of this kind.

    Settings that all options have, such as `bias_from_data`, are kept unless they are null. Any other likelihood stays as it is.

    Args:
        config: the configuration of a run; changed in place.
        kind: binary, grey, colour or real.
    """
    node = config.get("likelihood")
    if not isinstance(node, DictConfig) or node.get("_target_", "") is not None:
        return
    option = FITTING[kind]
    settings = {name: value for name, value in node.items() if name != "_target_" and value is not None}
    config.likelihood = OmegaConf.merge(_node(option), {"bias_from_data": option in STARTS_FROM_MEAN}, settings)
    if "choices" in config:
        config.choices.likelihood = option


def chosen_likelihood(choice: str, node: Mapping[str, Any]) -> str:
    """Return the option that `choice` stands for once its node is resolved."""
    if choice != AUTO:
        return choice
    return next((option for option in FITTING.values() if _node(option)._target_ == node["_target_"]), AUTO)


def _node(option: str) -> DictConfig:
    node = OmegaConf.load(conf_dir() / "likelihood" / f"{option}.yaml")
    assert isinstance(node, DictConfig)
    return node
