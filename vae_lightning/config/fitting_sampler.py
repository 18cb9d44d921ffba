"""`sampler=auto`: the sampler that fits the model, once that is known; and building the one that a configuration describes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.capabilities import require
from vae_lightning.config.builtin import conf_dir, option_node
from vae_lightning.config.instantiate import instantiate_node
from vae_lightning.errors import UserError, check_choice

if TYPE_CHECKING:
    from vae_lightning.models.samplers import Sampler
    from vae_lightning.models.vae import VAE

AUTO = "auto"
WITH_DENSITY, WITHOUT = "prior", "gmm"


def resolve_sampler(config: DictConfig, vae: VAE) -> None:
    """Replace `sampler=auto` in `config`, which names no class, with the option for this model; any other stays as it is.

    Args:
        config: the configuration of a run or a command; changed in place.
        vae: the model.
    """
    node = config.get("sampler")
    if isinstance(node, DictConfig) and node.get("_target_", "") is None:
        option = WITH_DENSITY if vae.has_density else WITHOUT
        config.sampler = option_node("sampler", option)
        if "choices" in config:
            config.choices.sampler = option


def chosen_sampler(choice: str, node: Mapping[str, Any]) -> str:
    """Return the option that `choice` stands for once its node is resolved."""
    if choice != AUTO:
        return choice
    made = (option for option in (WITH_DENSITY, WITHOUT) if option_node("sampler", option)._target_ == node["_target_"])
    return next(made, AUTO)


def build_sampler(config: DictConfig, vae: VAE) -> Sampler:
    """Build the sampler that `config.sampler` describes, not yet fitted; one for each class of a conditional VAE.

    Args:
        config: the configuration of a run or a command; `sampler=auto` in it is resolved.
        vae: the model whose codes it will be fitted to.

    Raises:
        UserError: a setting is wrong, or the model is incompatible with it.
    """
    resolve_sampler(config, vae)

    def make() -> Sampler:
        made: Sampler = instantiate_node(config, "sampler", {"latent_dim": vae.latent_dim})
        return made

    sampler = make()
    require(sampler, sampler.needs, vae.posterior)
    if sampler.latent_dim != vae.latent_dim and sampler.is_fitted:
        raise UserError(f"sampler.latent_dim={sampler.latent_dim}: must be that of z, which is {vae.latent_dim}; leave it out.")
    if not (sampler.is_fitted and vae.condition.classes):
        return sampler
    from vae_lightning.models.samplers import PerClass

    return PerClass(make, vae.condition.classes)


def as_config(sampler: str | Mapping[str, Any] | None) -> DictConfig | None:
    """Return a configuration with the node `sampler`, given the name of an option or such a node; None for None.

    Raises:
        UserError: there is no such option.
    """
    if sampler is None:
        return None
    if isinstance(sampler, str):
        options = sorted(path.stem for path in (conf_dir() / "sampler").glob("*.yaml"))
        return OmegaConf.create({"sampler": option_node("sampler", check_choice("sampler", sampler, options))})
    return OmegaConf.create({"sampler": sampler})
