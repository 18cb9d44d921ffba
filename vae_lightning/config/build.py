"""From configuration to objects.

Building is staged, since shapes come from the data: data → likelihood → posterior, prior → hierarchy → condition → model.
Importing this imports no torch, so that what can be checked without it is checked at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.builtin import special_entries
from vae_lightning.config.instantiate import instantiate_node, looks_out_of_memory, name_config_key, sizes
from vae_lightning.config.messages import one_line
from vae_lightning.errors import InvalidValue, RunError, UserError, check_number, format_value

if TYPE_CHECKING:
    from vae_lightning.data.base import DataSpec, ImageData, Images

SERVING_KEYS = ("binarize", "batch_size", "eval_batch_size", "num_workers", "drop_last")  # how images are served, not which
SHARED_DATA_SETS = 2
_LOADED: dict[tuple[type, str, str], dict[str, Images]] = {}


# stands in, before there are data and a model, for what constructors ask of them
BEFORE_DATA: dict[str, Any] = {"shape": (1, 1, 1), "mean": 0.5, "classes": 2, "numbers": 2, "latent_dim": 2}


def check_values(config: DictConfig) -> None:
    """UserError where an argument is wrong, before Lightning is imported and the data are read; the quickest first.

    By making each object that ships and needs no data, and letting go of it: the rules stay where the objects are. What
    is not ours might do much when it is made, and is made once only, by the run.
    """
    for key in (
        "beta_schedule",
        "lr_schedule",
        "data",
        "model",
        "posterior",
        "prior",
        "condition",
        "objective",
        "likelihood",
        "optimizer",
    ):
        node = OmegaConf.select(config, key)
        if isinstance(node, DictConfig) and ((key,), "_target_", node.get("_target_")) not in special_entries():
            continue
        if key == "optimizer":
            check_optimizer(config)
        else:
            instantiate_node(config, key, BEFORE_DATA)
    check_pairs(config)


def check_pairs(config: DictConfig) -> None:
    """Values that are right each and cannot go together."""
    clip, precision = (OmegaConf.select(config, f"trainer.{name}") for name in ("gradient_clip_val", "precision"))
    if clip and str(precision) in ("16", "16-mixed") and config.optimizer.get("fused"):
        raise UserError(
            f"trainer.gradient_clip_val={format_value(clip)} and trainer.precision={precision} do not go with "
            "optimizer.fused=true, which unscales gradients after they were clipped: set optimizer.fused=false, or "
            "trainer.precision=bf16-mixed."
        )
    for unit in ("epochs", "steps"):
        least, most = (OmegaConf.select(config, f"trainer.{end}_{unit}") for end in ("min", "max"))
        if isinstance(least, int) and isinstance(most, int) and 0 <= most < least:
            raise UserError(
                f"trainer.min_{unit}={least} would have no effect: trainer.max_{unit}={most} ends training before; "
                f"raise trainer.max_{unit}, or leave trainer.min_{unit} out."
            )


def build_data(config: DictConfig) -> ImageData:
    """The data set, loaded. Data sets of the same arguments share their images, so that the jobs of a process load them once."""
    from vae_lightning.data.base import ImageData

    data = instantiate_node(config, "data")
    if not isinstance(data, ImageData):
        raise UserError(
            f"data._target_={config.data._target_}: must be a class of data sets (vae_lightning.data.base.ImageData)."
        )
    whole: dict[str, Any] = OmegaConf.to_container(config.data, resolve=True)  # type: ignore[assignment]
    arguments = str({name: value for name, value in whole.items() if name not in SERVING_KEYS})
    recipe = (type(data), arguments, str(Path.cwd()))  # relative paths mean others elsewhere
    if recipe not in _LOADED:
        try:
            images = data.splits()
        except InvalidValue as error:
            raise name_config_key(config, "data", error) from error
        while len(_LOADED) >= SHARED_DATA_SETS:
            _LOADED.pop(next(iter(_LOADED)))
        _LOADED[recipe] = images
    data.adopt(_LOADED[recipe])
    return data


def build_vae(config: DictConfig, data_spec: DataSpec) -> Any:
    """The VAE (imports torch, but no Lightning)."""
    from vae_lightning.models.hierarchies import NoHierarchy
    from vae_lightning.models.vae import VAE

    known = {"shape": data_spec.shape, "mean": data_spec.mean, "classes": data_spec.classes}
    likelihood, posterior = instantiate_node(config, "likelihood", known), instantiate_node(config, "posterior", known)
    prior = instantiate_node(config, "prior", {**known, "numbers": posterior.latent_dim})
    # a run from before there were any says nothing of hierarchies
    hierarchy = instantiate_node(config, "hierarchy") if "hierarchy" in config else NoHierarchy()
    posterior, prior = hierarchy.layers(posterior, prior)
    model, condition = instantiate_node(config, "model"), instantiate_node(config, "condition", known)
    try:
        return VAE(model, posterior, prior, likelihood, condition)
    except (RuntimeError, MemoryError, OverflowError) as error:
        if not looks_out_of_memory(error):
            raise
        raise RunError(f"model does not fit into memory: make it smaller ({sizes(config.model)}).") from error


def check_optimizer(config: DictConfig) -> None:
    """The optimizer refuses its arguments only when it is made: make one of a single weight, before training."""
    import torch

    recipe = instantiate_node(config, "optimizer")
    if "lr" in config.optimizer:
        check_number("optimizer.lr", config.optimizer.lr, 0)
    try:
        recipe([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"optimizer: {one_line(error)}") from error
