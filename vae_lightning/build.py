"""From configuration to objects.

Building is staged, since shapes come from the data: data → likelihood → posterior, prior → hierarchy → condition → model.
Importing this imports no torch, so that what can be checked without it is checked at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from vae_lightning.errors import InvalidValue, RunError, UserError, check_number, shown
from vae_lightning.instantiation import in_terms_of_keys, is_out_of_memory, make, make_list, one_line, sizes
from vae_lightning.shipped import special_entries

if TYPE_CHECKING:
    from vae_lightning.data.base import DataFacts, ImageData, Images

SERVING = ("binarize", "batch_size", "eval_batch_size", "num_workers", "drop_last")  # how images are served, not which
SHARED_DATA_SETS = 2
_LOADED: dict[tuple[type, str, str], dict[str, Images]] = {}
AXES = (
    "data",
    "model",
    "posterior",
    "prior",
    "hierarchy",
    "condition",
    "likelihood",
    "objective",
    "beta_schedule",
    "optimizer",
    "lr_schedule",
)


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
            make(config, key, BEFORE_DATA)
    check_pairs(config)


def check_pairs(config: DictConfig) -> None:
    """Values that are right each and cannot go together."""
    clip, precision = (OmegaConf.select(config, f"trainer.{name}") for name in ("gradient_clip_val", "precision"))
    if clip and str(precision) in ("16", "16-mixed") and config.optimizer.get("fused"):
        raise UserError(
            f"trainer.gradient_clip_val={shown(clip)} and trainer.precision={precision} do not go with optimizer.fused=true, "
            "which unscales gradients after they were clipped: set optimizer.fused=false, or trainer.precision=bf16-mixed."
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

    data = make(config, "data")
    if not isinstance(data, ImageData):
        raise UserError(
            f"data._target_={config.data._target_}: must be a class of data sets (vae_lightning.data.base.ImageData)."
        )
    whole: dict[str, Any] = OmegaConf.to_container(config.data, resolve=True)  # type: ignore[assignment]
    arguments = str({name: value for name, value in whole.items() if name not in SERVING})
    recipe = (type(data), arguments, str(Path.cwd()))  # relative paths mean others elsewhere
    if recipe not in _LOADED:
        try:
            images = data.splits()
        except InvalidValue as error:
            raise in_terms_of_keys(config, "data", error) from error
        while len(_LOADED) >= SHARED_DATA_SETS:
            _LOADED.pop(next(iter(_LOADED)))
        _LOADED[recipe] = images
    data.adopt(_LOADED[recipe])
    return data


def build_vae(config: DictConfig, facts: DataFacts) -> Any:
    """The VAE (imports torch, but no Lightning)."""
    from vae_lightning.hierarchies import NoHierarchy
    from vae_lightning.vae import VAE

    known = {"shape": facts.shape, "mean": facts.mean, "classes": facts.classes}
    likelihood, posterior = make(config, "likelihood", known), make(config, "posterior", known)
    prior = make(config, "prior", {**known, "numbers": posterior.latent_dim})
    # a run from before there were any says nothing of hierarchies
    hierarchy = make(config, "hierarchy") if "hierarchy" in config else NoHierarchy()
    posterior, prior = hierarchy.layers(posterior, prior)
    model, condition = make(config, "model"), make(config, "condition", known)
    try:
        return VAE(model, posterior, prior, likelihood, condition)
    except (RuntimeError, MemoryError, OverflowError) as error:
        if not is_out_of_memory(error):
            raise
        raise RunError(f"model does not fit into memory: make it smaller ({sizes(config.model)}).") from error


def _given_weights(config: DictConfig) -> list[str]:
    """What of β is not as it is by default."""
    beta = [f"beta={config.beta:g}"] if config.beta != 1 else []
    schedule = config.choices.beta_schedule
    return beta + ([f"beta_schedule={schedule}"] if schedule != "constant" else [])


def build_module(config: DictConfig, vae: Any, dynamic: bool) -> Any:
    """The LightningModule that trains `vae`."""
    from vae_lightning.abilities import require
    from vae_lightning.module import VAEModule

    check_optimizer(config)
    objective = make(config, "objective", {"latent_dim": vae.latent_dim})
    objective.check(vae)
    objective.told(config.facts.train_size)
    beta_schedule = make(config, "beta_schedule")
    require(beta_schedule, beta_schedule.needs, vae.posterior)
    if not objective.uses_beta(vae) and (weights := _given_weights(config)):
        raise UserError(
            f"{' '.join(weights)} would have no effect: in objective={config.choices.objective} ({objective.parts_in_words()}) "
            f"with {vae.posterior.option} nothing is weighed by it; leave {'it' if len(weights) == 1 else 'them'} out."
        )
    return VAEModule(
        vae,
        objective,
        beta_schedule,
        make(config, "optimizer"),
        make(config, "lr_schedule"),
        dynamic,
        config.seed,
        config.get("compile", "none"),
    )


def check_optimizer(config: DictConfig) -> None:
    """The optimizer refuses its arguments only when it is made: make one of a single weight, before training."""
    import torch

    recipe = make(config, "optimizer")
    if "lr" in config.optimizer:
        check_number("optimizer.lr", config.optimizer.lr, 0)
    try:
        recipe([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(f"optimizer: {one_line(error)}") from error


def build_callbacks(config: DictConfig) -> list[Any]:
    """The callbacks of the configuration; each monitors a figure that there is."""
    from lightning.pytorch import Callback

    from vae_lightning.evaluation.elbo import METRICS

    figures = [f"val/{name}" for name in METRICS]
    callbacks = []
    for name, node in (config.get("callbacks") or {}).items():
        if node is None:
            continue
        callback = make(config, f"callbacks.{name}")
        if not isinstance(callback, Callback):
            raise UserError(f"callbacks.{name} makes a {type(callback).__name__}, which is no callback of Lightning.")
        monitor = getattr(callback, "monitor", None)
        if "monitor" in node and monitor not in figures:
            raise InvalidValue(f"callbacks.{name}.monitor", monitor, f"one of {', '.join(figures)}")
        callbacks.append(callback)
    return callbacks


def build_loggers(config: DictConfig, folder: Path) -> list[Any]:
    """The loggers of the configuration, on this run folder."""
    nodes = (config.get("logger") or {}).items()
    return [make(config, f"logger.{name}", save_dir=folder, **_label(config, node)) for name, node in nodes if node is not None]


def _label(config: DictConfig, node: DictConfig) -> dict[str, Any]:
    """That of the sweep's job, for a logger that takes a label and was given none."""
    return {"label": config.label} if "label" in config and node.get("label", "") is None else {}


def build_trainer(config: DictConfig, folder: Path, loggers: Sequence[Any], callbacks: Sequence[Any], **more: Any) -> Any:
    """Lightning's Trainer on this run folder."""
    from vae_lightning.checkpoint_io import AtomicCheckpointIO

    node = OmegaConf.select(config, "trainer")
    if node is None or "plugins" not in node:
        raise UserError("trainer is not set: choose one of its options (trainer=auto).")
    plugins = [*(make_list(config, "trainer.plugins")), AtomicCheckpointIO()]
    return make(
        config,
        "trainer",
        logger=list(loggers),
        callbacks=list(callbacks),
        default_root_dir=folder,
        use_distributed_sampler=False,
        **{"plugins": plugins, **more},
    )
