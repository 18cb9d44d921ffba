"""What each node of a configuration must build: a `_target_` may name any class, including a user's own."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping
from typing import Any

from hydra.utils import get_object

from vae_lightning.config.signatures import matches_type
from vae_lightning.errors import UserError

KINDS = {
    "data": "vae_lightning.data.base.ImageData",
    "model": "vae_lightning.models.architectures.Architecture",
    "posterior": "vae_lightning.models.posteriors.Posterior",
    "prior": "vae_lightning.models.priors.Prior",
    "hierarchy": "vae_lightning.models.hierarchies.Hierarchy",
    "condition": "vae_lightning.models.conditions.Condition",
    "likelihood": "vae_lightning.models.likelihoods.Likelihood",
    "objective": "vae_lightning.objectives.Objective",
    "beta_schedule": "vae_lightning.schedules.Schedule",
    "lr_schedule": "vae_lightning.schedules.learning_rate.LRSchedule",
    "sampler": "vae_lightning.models.samplers.Sampler",
    "trainer": "lightning.pytorch.Trainer",
    "logger": "lightning.pytorch.loggers.Logger",
}


def check_kind(key: str, path: str, made: object) -> None:
    """Check that the node `key` made the kind of object that a run needs there.

    Args:
        key: the node, such as `prior` or `logger.csv`.
        path: the dotted name in its `_target_`.
        made: the object that it made.

    Raises:
        UserError: it is an object of another kind.
    """
    group, _, name = key.partition(".")
    if group not in KINDS or (name and group != "logger"):
        return
    if not isinstance(made, get_object(KINDS[group])):
        raise UserError(f"{key}._target_={path}: must name a subclass of {KINDS[group]}, not make a {type(made).__name__}.")


def check_parts(key: str, target: Callable[..., object], parts: Mapping[str, object], paths: Mapping[str, str]) -> None:
    """Check that the objects built for the nodes inside the node `key` match the annotations of its constructor.

    Args:
        key: the node, such as `objective`.
        target: its class.
        parts: the objects by argument, such as `bound`.
        paths: the dotted names in their `_target_`.

    Raises:
        UserError: one is an object of another kind.
    """
    if not parts or not str(getattr(target, "__module__", "")).startswith("vae_lightning."):
        return
    hints: dict[str, Any] = typing.get_type_hints(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    for name, part in parts.items():
        if name in hints and not matches_type(part, hints[name]):
            wanted = [hint.__name__ for hint in typing.get_args(hints[name]) or (hints[name],) if hint not in (type(None), float)]
            raise UserError(
                f"{key}.{name}._target_={paths[name]}: must name a subclass of {' or '.join(wanted)}, not make a "
                f"{type(part).__name__}."
            )
