"""Build the data set and the VAE that a configuration describes.

Shapes come from the data, so the order is: data → likelihood → posterior, prior → hierarchy → model, condition → VAE.
Importing this file does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.builtin import walk_entries
from vae_lightning.config.fitting_likelihood import resolve_likelihood
from vae_lightning.config.instantiate import instantiate_node, name_config_key, sizes
from vae_lightning.config.machine import check_memory, check_processes
from vae_lightning.config.messages import one_line
from vae_lightning.config.plain import plain_dict
from vae_lightning.config.private_apis import is_too_large
from vae_lightning.errors import InvalidValue, RunError, UserError, format_value

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from vae_lightning.data.base import DataSpec, ImageData
    from vae_lightning.models.architectures import Architecture
    from vae_lightning.models.vae import VAE

SERVING_KEYS = (
    "binarize",
    "batch_size",
    "eval_batch_size",
    "num_workers",
    "drop_last",
    "cache",
    "cache_limit",
)  # these change how images are loaded, not which ones
SIZED_GROUPS = (
    "model",
    "posterior",
    "prior",
    "hierarchy",
    "condition",
    "likelihood",
)  # their settings decide how many parameters a model has
LARGE = 10**9
SHARED_DATA_SETS = 2
_LOADED: dict[tuple[type, str, str, Hashable], ImageData] = {}


def check_combinations(config: DictConfig) -> None:
    """Refuse settings that are valid on their own but not together, or not on this machine (UserError)."""
    check_processes(config)
    clip, precision = (OmegaConf.select(config, f"trainer.{name}") for name in ("gradient_clip_val", "precision"))
    if clip and str(precision) in ("16", "16-mixed") and config.optimizer.get("fused"):
        raise UserError(
            f"trainer.gradient_clip_val={format_value(clip)} with trainer.precision={precision} is incompatible with "
            "optimizer.fused=true, which unscales gradients after they were clipped: set optimizer.fused=false, or "
            "trainer.precision=bf16-mixed."
        )
    for unit in ("epochs", "steps"):
        least, most = (OmegaConf.select(config, f"trainer.{end}_{unit}") for end in ("min", "max"))
        if isinstance(least, int) and isinstance(most, int) and 0 <= most < least:
            raise UserError(
                f"trainer.min_{unit}={least} would have no effect: trainer.max_{unit}={most} ends training earlier; "
                f"raise trainer.max_{unit}, or leave trainer.min_{unit} out."
            )


def build_data(config: DictConfig) -> ImageData:
    """Load the data set. Data sets with the same arguments share their images, so that a process loads them once.

    Raises:
        UserError: a setting is wrong, or its files cannot be read.
    """
    data: ImageData = instantiate_node(config, "data")
    whole = plain_dict(config.data)
    arguments = str({name: value for name, value in whole.items() if name not in SERVING_KEYS})
    try:
        recipe = (type(data), arguments, str(Path.cwd()), data.file_state())  # relative paths depend on the current folder
        if recipe not in _LOADED:
            data.splits()
    except InvalidValue as error:
        raise name_config_key(config, "data", error) from error
    if recipe not in _LOADED:
        while len(_LOADED) >= SHARED_DATA_SETS:
            _LOADED.pop(next(iter(_LOADED)))
        _LOADED[recipe] = data
    data.adopt(_LOADED[recipe])
    return data


def build_model(config: DictConfig) -> Architecture:
    """Build the architecture of encoder and decoder: without weights yet, so it needs no data and draws no random numbers."""
    return instantiate_node(config, "model")


def build_vae(config: DictConfig, data_spec: DataSpec, model: Architecture | None = None) -> VAE:
    """Build the VAE, for images as `data_spec` describes them. Imports torch, but not Lightning.

    Args:
        config: the configuration of a run; `likelihood=auto` in it is resolved.
        data_spec: the shape, mean and number of classes of the training images.
        model: the result of `build_model`, if it was called already.

    Raises:
        UserError: a setting is wrong, or parts are incompatible.
        RunError: it does not fit into memory.
    """
    resolve_likelihood(config, data_spec.kind or "grey")
    model = build_model(config) if model is None else model
    resolve_grid(config, model, data_spec.shape)

    def described() -> str:
        nodes = [config.get(group) for group in SIZED_GROUPS]
        words = [word for node in nodes if isinstance(node, DictConfig) for word in sizes(node).split(" ")]
        return " ".join(filter(None, dict.fromkeys(words)))

    if may_be_large(config, data_spec):
        check_memory(lambda networks: _build_vae(config, data_spec, model, networks), described)
    return _build_vae(config, data_spec, model)


def may_be_large(config: DictConfig, data_spec: DataSpec) -> bool:
    """Whether the settings could make a model of more than LARGE numbers; if not, its memory need not be estimated.

    No part of a model has more weights than the product of the three largest of its settings, their count and the image's size: a
    full covariance has latent_dim² outputs of a width, a convolution channels² weights for each pixel of its kernel.
    """
    nodes = [plain_dict(node) for group in SIZED_GROUPS if isinstance(node := config.get(group), DictConfig)]
    values = [value for node in nodes for _, _, value in walk_entries(node) if isinstance(value, int)]
    three = sorted([*values, len(values), math.prod(data_spec.shape)])[-3:]
    return math.prod(three) > LARGE


def resolve_grid(config: DictConfig, model: Architecture, image_shape: tuple[int, int, int]) -> None:
    """Set `posterior.grid=auto` in the configuration to the grid that the model makes of an image.

    Args:
        config: the configuration of a run.
        model: the architecture.
        image_shape: (channels, height, width).

    Raises:
        UserError: this model has no grid of codes, or makes none of images of this size.
    """
    from vae_lightning.models.architectures import GridArchitecture
    from vae_lightning.models.grids import no_grid

    if isinstance(node := config.get("posterior"), DictConfig) and node.get("grid") == "auto":
        if not isinstance(model, GridArchitecture):
            raise no_grid("auto")
        node.grid = list(model.grid(*image_shape[1:]))


def _build_vae(config: DictConfig, data_spec: DataSpec, model: Architecture, networks: str | None = None) -> VAE:
    """Build the VAE; its encoder and decoder on the device `networks`."""
    import torch

    from vae_lightning.models.grids import check_grid
    from vae_lightning.models.hierarchies import NoHierarchy
    from vae_lightning.models.standardisation import Standardisation
    from vae_lightning.models.vae import VAE

    known = {"shape": data_spec.shape, "mean": data_spec.mean, "classes": data_spec.classes}
    likelihood = instantiate_node(config, "likelihood", known)
    posterior = instantiate_node(config, "posterior", known)
    check_grid(model, posterior, data_spec.shape)  # before a prior of its size is built
    prior = instantiate_node(config, "prior", {**known, "numbers": posterior.latent_dim, "grid": posterior.grid})
    # runs of earlier versions have no hierarchy in their configuration
    hierarchy = instantiate_node(config, "hierarchy") if "hierarchy" in config else NoHierarchy()
    posterior, prior = hierarchy.layers(posterior, prior)
    condition = instantiate_node(config, "condition", known)
    try:
        standardisation = Standardisation(data_spec.shape) if data_spec.kind == "real" else None
        with torch.device(networks) if networks else nullcontext():
            return VAE(model, posterior, prior, likelihood, condition, standardisation)
    except (RuntimeError, MemoryError, OverflowError) as error:
        if not is_too_large(error):
            raise
        raise RunError(f"model does not fit into memory: make it smaller ({sizes(config.model)}).") from error


def try_optimizer(optimizer: Callable[..., Optimizer]) -> None:
    """Make an optimizer of a single weight, since it rejects wrong arguments only when it is made (UserError)."""
    import torch

    try:
        made = optimizer([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"optimizer: {one_line(error)}") from error
    if not isinstance(made, torch.optim.Optimizer):
        raise UserError(f"optimizer._target_: must name a subclass of torch.optim.Optimizer, not make a {type(made).__name__}.")
