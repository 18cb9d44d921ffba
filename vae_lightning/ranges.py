"""What constructors of torch and Lightning take for granted of their arguments, by exact class name.

They find a wrong one late, in words about their insides, or never. Types are checked by `arguments`, null is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from vae_lightning.errors import InvalidValue, check_choice, check_int, check_number

Check = Callable[[str, Any], Any]


def at_least(minimum: int, maximum: int | None = None) -> Check:
    """An integer in [minimum, maximum]; other types are the signature's business."""

    def check(name: str, value: Any) -> None:
        if isinstance(value, int) and not isinstance(value, bool):
            check_int(name, value, minimum, maximum)

    return check


def share_or_count(name: str, value: Any) -> None:
    """A share of the batches in [0, 1], or a number of them."""
    if value < 0 or (isinstance(value, float) and value > 1):
        raise InvalidValue(name, value, "a share of at least 0.0 and at most 1.0, or a number of batches")


def _some_batches(name: str, value: Any) -> None:
    """As `share_or_count`, but not none of them: training that takes no step has no schedule."""
    share_or_count(name, value)
    _above_zero(name, value)


def _limit(name: str, value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool) and value != -1 and value < 1:
        raise InvalidValue(name, value, "an integer of at least 1, or -1 for no limit")


def _number(low: float, *, above: bool = False) -> Check:
    return lambda name, value: check_number(name, value, low, above=above)


def _choice(*allowed: str) -> Check:
    return lambda name, value: check_choice(name, value, allowed)


def _above_zero(name: str, value: Any) -> None:
    if isinstance(value, int | float) and not value > 0:
        raise InvalidValue(name, value, "above 0: a share of an epoch, or a number of batches")


def _duration(name: str, value: Any) -> None:
    units = ("weeks", "days", "hours", "minutes", "seconds")
    if isinstance(value, str):
        good = bool(re.fullmatch(r"\d+(:\d+){3}", value.strip()))
    else:
        good = (
            isinstance(value, Mapping)
            and len(value) > 0
            and all(k in units and isinstance(v, int | float) and v >= 0 for k, v in value.items())
        )
    if not good:
        raise InvalidValue(
            name, value, "text such as '00:00:10:00' (days:hours:minutes:seconds), a mapping as {hours:2}, or null"
        )


def _precision(name: str, value: Any) -> None:
    # images are float32, and so are log-densities under mixed precision
    check_choice(name, str(value), ("32-true", "bf16-mixed", "16-mixed", "32", "bf16", "16"))


def _accelerator(name: str, value: Any) -> None:
    import torch

    if value == "mps" or (value in ("gpu", "cuda") and not torch.cuda.is_available()):
        raise InvalidValue(name, value, "cpu or auto here, since this machine has no GPU that torch can use in float64")


_MODE = _choice("min", "max")
RANGES: dict[str, dict[str, Check]] = {
    "lightning.pytorch.Trainer": {
        "accelerator": _accelerator,
        "devices": at_least(-1, 1024),
        "precision": _precision,
        "max_time": _duration,
        "num_nodes": at_least(1, 10000),
        "fast_dev_run": at_least(0),
        "max_epochs": _limit,
        "min_epochs": at_least(0),
        "max_steps": _limit,
        "min_steps": at_least(0),
        "limit_train_batches": _some_batches,
        "limit_val_batches": share_or_count,
        "overfit_batches": share_or_count,
        "val_check_interval": _above_zero,
        "check_val_every_n_epoch": at_least(1),
        "num_sanity_val_steps": at_least(-1),
        "log_every_n_steps": at_least(1),
        "accumulate_grad_batches": at_least(1),
        "gradient_clip_val": _number(0),
        "gradient_clip_algorithm": _choice("norm", "value"),
        "reload_dataloaders_every_n_epochs": at_least(0),
    },
    "vae_lightning.callbacks.early_stopping.EarlyStopping": {"min_delta": _number(0), "patience": at_least(0), "mode": _MODE},
    "lightning.pytorch.loggers.CSVLogger": {"flush_logs_every_n_steps": at_least(1)},
    "torch.optim.SGD": {"momentum": _number(0), "weight_decay": _number(0)},
    "torch.optim.Adam": {"eps": _number(0), "weight_decay": _number(0)},
    "torch.optim.AdamW": {"eps": _number(0), "weight_decay": _number(0)},
}
