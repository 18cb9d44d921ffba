"""Schedules: values that change over the training steps, such as β(t), a capacity, a temperature, the learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vae_lightning.exports import lazy_exports

if TYPE_CHECKING:
    from vae_lightning.schedules.beta import Constant as Constant
    from vae_lightning.schedules.beta import Cosine as Cosine
    from vae_lightning.schedules.beta import Cyclical as Cyclical
    from vae_lightning.schedules.beta import Exponential as Exponential
    from vae_lightning.schedules.beta import Linear as Linear
    from vae_lightning.schedules.beta import RunLength as RunLength
    from vae_lightning.schedules.beta import Schedule as Schedule
    from vae_lightning.schedules.feedback import GECO as GECO
    from vae_lightning.schedules.feedback import Control as Control
    from vae_lightning.schedules.learning_rate import CosineLR as CosineLR
    from vae_lightning.schedules.learning_rate import LRSchedule as LRSchedule
    from vae_lightning.schedules.learning_rate import MultiStepLR as MultiStepLR
    from vae_lightning.schedules.learning_rate import NoLRSchedule as NoLRSchedule
    from vae_lightning.schedules.scheduled_value import ScheduledValue as ScheduledValue

_MODULES = {
    "vae_lightning.schedules.beta": ("Constant", "Cosine", "Cyclical", "Exponential", "Linear", "RunLength", "Schedule"),
    "vae_lightning.schedules.feedback": ("Control", "GECO"),
    "vae_lightning.schedules.learning_rate": ("CosineLR", "LRSchedule", "MultiStepLR", "NoLRSchedule"),
    "vae_lightning.schedules.scheduled_value": ("ScheduledValue",),
}
__all__ = [
    "GECO", "Constant", "Control", "Cosine", "CosineLR", "Cyclical", "Exponential", "LRSchedule", "Linear", "MultiStepLR",
    "NoLRSchedule", "RunLength", "Schedule", "ScheduledValue",
]  # fmt: skip

__getattr__ = lazy_exports(__name__, {name: module for module, names in _MODULES.items() for name in names})
