"""The parts of a run, each built once, before Lightning is imported, so that a wrong number ends a command within seconds.

Cheap parts come first. Do not change the order of those that draw random weights (model, then objective): with the same seed,
they would get other weights.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, NamedTuple

from omegaconf import DictConfig

from vae_lightning.config.build import build_data, build_model, build_vae, check_combinations, try_optimizer
from vae_lightning.config.fitting_sampler import build_sampler
from vae_lightning.config.instantiate import instantiate_node
from vae_lightning.config.machine import check_step_memory
from vae_lightning.errors import InvalidValue, UserError

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from vae_lightning.data.base import ImageData
    from vae_lightning.models.vae import VAE
    from vae_lightning.objectives import Objective
    from vae_lightning.schedules.beta import Schedule
    from vae_lightning.schedules.learning_rate import LRSchedule


class OptimizerRecipe(NamedTuple):
    """How a run is optimised: the parts that need neither data nor model.

    Args:
        beta_schedule: β of each step.
        lr_schedule: the learning rate of each step.
        optimizer: parameters → torch optimizer.
    """

    beta_schedule: Schedule
    lr_schedule: LRSchedule
    optimizer: Callable[..., Optimizer]


class RunParts(NamedTuple):
    """What a run is made of, apart from Lightning's objects.

    Args:
        data: the data set, loaded.
        binarization: how its pixels are binarised: dynamic, static, threshold or none.
        vae: the model, with the weights that the run's seed gives it.
        objective: the loss, compatible with the model.
        recipe: schedules and optimizer.
    """

    data: ImageData
    binarization: str
    vae: VAE
    objective: Objective
    recipe: OptimizerRecipe


def build_recipe(config: DictConfig) -> OptimizerRecipe:
    """Build schedules and optimizer, and try the optimizer on a single weight, since only then does it check its arguments.

    Raises:
        UserError: one of their settings is wrong.
    """
    beta_schedule, lr_schedule = instantiate_node(config, "beta_schedule"), instantiate_node(config, "lr_schedule")
    check_combinations(config)
    optimizer = instantiate_node(config, "optimizer")
    try_optimizer(optimizer)
    return OptimizerRecipe(beta_schedule, lr_schedule, optimizer)


def build_objective(config: DictConfig, vae: VAE) -> Objective:
    """Build the objective and check that it is compatible with the model (UserError)."""
    objective: Objective = instantiate_node(config, "objective", {"latent_dim": vae.latent_dim})
    objective.check(vae)
    return objective


def build_parts(config: DictConfig, resumed: bool = False) -> RunParts:
    """Build everything that a run needs, apart from Lightning's objects.

    Args:
        config: the configuration of the run.
        resumed: whether its weights come from its own checkpoint, and not from `init_from`.

    Raises:
        UserError: a setting is wrong, or parts are incompatible.
        RunError: the model does not fit into memory.
    """
    recipe, model = build_recipe(config), build_model(config)
    import torch

    from vae_lightning.data.binarization import resolve_binarization
    from vae_lightning.noise import derive_seed
    from vae_lightning.training.warm_start import freeze, start_from

    data = build_data(config)
    torch.manual_seed(derive_seed(config.seed, "weights"))
    spec = data.spec()
    check_step_memory(config, prod(spec.shape), spec.train_size)
    vae = build_vae(config, spec, model)
    if vae.standardisation is not None:
        note_constant(data, vae.standardisation.fit(data.splits()["train"].chunks()))
    try:
        binarization = resolve_binarization(data.binarize, vae.likelihood.support == "binary")
    except InvalidValue as error:
        raise UserError(f"data.binarize={error.value}: must be {error.allowed}.") from error
    vae.latent_prior.start(data.splits()["train"])
    objective = build_objective(config, vae)
    if config.get("init_from") is not None and not resumed:
        note = start_from(vae, config.init_from)
        data.notes = [*data.notes, *([] if note is None else [note])]
    freeze(vae, config.get("freeze"))
    build_sampler(config, vae)  # reports a wrong setting now; it is fitted after the training
    return RunParts(data, binarization, vae, objective, recipe)


def note_constant(data: ImageData, constant: int) -> None:
    """Add to the notes of real-valued data how many of their numbers are the same in all training rows."""
    if constant:
        of = data.splits()["train"].shape[-1]
        are = "is" if constant == 1 else "are"
        note = f"{constant:,} of {of:,} numbers {are} constant over the training rows, and divided by 1 instead of their scale."
        data.notes = [*data.notes, note]
