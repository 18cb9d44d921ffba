"""Whether a checkpoint fits the run that resumes it, checked before anything is restored or a file is changed.

torch and Lightning copy most of a checkpoint unchecked: moments of the wrong shape make a fused optimizer crash with a
segmentation fault, and a state of the wrong type causes an error much later. So the names, shapes and types in each state are
compared with those in a new one that is made here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from packaging.version import InvalidVersion, Version
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from vae_lightning.errors import UserError, format_value
from vae_lightning.runs.checkpoint_schema import check_finite, check_tensor, check_tensors, damaged, is_number
from vae_lightning.schedules.beta import RunLength
from vae_lightning.training.callbacks.ema import EMA
from vae_lightning.training.module import VAEModule
from vae_lightning.training.private_apis import loop_state, raised_while_restoring, saved_progress

CHANGING = ("params", "lr", "initial_lr")  # entries of a parameter group that may differ from the configuration


def check_fits(path: Path, content: Mapping[str, Any], module: VAEModule, trainer: Trainer) -> None:
    """Compare what a checkpoint holds with the module and the trainer that it is loaded into.

    Args:
        path: the checkpoint.
        content: what it holds.
        module: the module of the run, as built from its configuration.
        trainer: the trainer of the run, before it starts.

    Raises:
        RunError: a part of the checkpoint is missing, or does not fit.
    """
    check_version(path, content.get("pytorch-lightning_version"))
    check_tensors(path, content["state_dict"], module.state_dict())
    check_finite(path, content["state_dict"])
    check_schedules(path, content["schedules"], module)
    check_progress(path, content, trainer)
    check_callbacks(path, content.get("callbacks", {}), trainer, module)
    plugin = trainer.precision_plugin
    if scaler := plugin.state_dict():
        name = plugin.__class__.__qualname__
        check_kind(path, name, content.get(name, scaler), scaler)
    try:
        check_optimizer(path, content, module)
    except UserError:
        raise
    except Exception as error:  # whatever an optimizer or a scheduler raises when it loads this state
        raise damaged(path, "its optimizer's state cannot be restored") from error


def check_version(path: Path, version: Any) -> None:
    """Check Lightning's version in the checkpoint, which Lightning reads to convert checkpoints of older versions."""
    try:
        Version(version)
    except (InvalidVersion, TypeError) as error:
        raise damaged(path, f"pytorch-lightning_version is {format_value(str(version))}") from error


# ---------------------------------------------------------------- optimizer


def check_optimizer(path: Path, content: Mapping[str, Any], module: VAEModule) -> None:
    """Compare the optimizer and the learning rate schedule with new ones after one step, and load them into the new ones."""
    optimizer, scheduler, states = *fresh_optimizer(module, content["state_dict"]), content["optimizer_states"]
    if len(states) != 1:
        raise damaged(path, f"it has the states of {len(states)} optimizers instead of one")
    expected, found = optimizer.state_dict(), states[0]
    check_groups(path, found["param_groups"], expected["param_groups"])
    unscaled = "MixedPrecision" not in content  # float16 may skip the first steps
    if content["global_step"] and expected["state"] and not found["state"] and unscaled:
        raise damaged(path, f"its optimizer has no state after {content['global_step']} steps")
    for place, state in found["state"].items():
        check_moments(path, f"optimizer_states.{place}", state, expected["state"].get(place))
    check_own_memory(path, found["state"])
    schedulers = content["lr_schedulers"]
    if len(schedulers) != (scheduler is not None):
        raise damaged(path, f"it has {len(schedulers)} learning rate schedules instead of {int(scheduler is not None)}")
    if scheduler is not None:
        check_kind(path, "lr_schedulers", schedulers[0], scheduler.state_dict())
        scheduler.load_state_dict(dict(schedulers[0]))
    optimizer.load_state_dict(found)
    one_step(optimizer, scheduler)


def fresh_optimizer(module: VAEModule, weights: Mapping[str, Tensor]) -> tuple[Optimizer, LRScheduler | None]:
    """Make the run's optimizer and schedule for parameters of zeros, and take a step with gradients of zero.

    The zeros have the shapes and types of the checkpoint's weights, which have already been compared with the model's,
    and the model's own layout in memory.
    """
    names = {id(parameter): name for name, parameter in module.named_parameters()}

    def zeros(parameter: Tensor) -> torch.nn.Parameter:
        saved = weights[names[id(parameter)]]
        return torch.nn.Parameter(torch.empty_strided(saved.shape, parameter.stride(), dtype=saved.dtype).zero_())

    groups = [{**group, "params": [zeros(p) for p in group["params"]]} for group in module.parameter_groups()]
    optimizer = module.make_optimizer(groups)
    scheduler = module.lr_schedule.build(optimizer, RunLength(1000.0, 100.0))
    one_step(optimizer, scheduler)
    return optimizer, scheduler


def one_step(optimizer: Optimizer, scheduler: LRScheduler | None) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    if scheduler is not None:
        scheduler.step()


def check_groups(path: Path, found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Check that each group has a learning rate, and the parameters and settings that the configuration gives it."""
    if [group["params"] for group in found] != [group["params"] for group in expected]:
        raise damaged(path, "its optimizer has different groups of parameters from this run's")
    for group, own in zip(found, expected, strict=True):
        if not is_number(group.get("initial_lr", 0.0)):
            raise damaged(path, f"its initial learning rate is {format_value(str(group['initial_lr']))}")
        for name, value in group.items():
            if name not in CHANGING and name in own and not same_setting(value, own[name]):
                raise damaged(
                    path, f"its optimizer has {format_value(name)}={format_value(str(value))}, not {format_value(own[name])}"
                )


def same_setting(found: object, own: object) -> bool:
    """Whether two settings are equal and have the same type; a list may equal a tuple."""
    if isinstance(found, list | tuple) and isinstance(own, list | tuple):
        return len(found) == len(own) and all(same_setting(a, b) for a, b in zip(found, own, strict=True))
    alike = type(found) is type(own) or (is_number(found) and is_number(own))
    return alike and not isinstance(found, Tensor) and bool(found == own)


def check_moments(path: Path, name: str, found: Mapping[str, Any], expected: Mapping[str, Any] | None) -> None:
    """Check that the state of a parameter has the same names, and tensors of the same shapes, types and layouts without NaN.

    Fused optimizers read and write the memory of a moment in the order of its parameter, whatever its strides are.
    """
    if expected is None or set(found) != set(expected):
        raise damaged(path, f"{name} does not have the entries that this run's optimizer keeps")
    for part, own in expected.items():
        if isinstance(own, Tensor):
            check_tensor(path, f"{name}.{part}", found[part], own)
            if type(found[part]) is not Tensor or found[part].requires_grad or strides(found[part]) != strides(own):
                raise damaged(path, f"{name}.{part} is not laid out in memory as this run's optimizer keeps it")
            if not bool(torch.isfinite(found[part]).all()):
                raise damaged(path, f"{name}.{part} holds NaN or infinity")
        else:
            check_kind(path, f"{name}.{part}", found[part], own)


def strides(tensor: Tensor) -> list[int]:
    """Return the strides that matter: along a dimension of one entry any will do."""
    return [stride for stride, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]


def check_own_memory(path: Path, states: Mapping[Any, Mapping[str, Any]]) -> None:
    """Each tensor of an optimizer has memory of its own: it is updated in place, and would change another one too."""
    tensors = [part for state in states.values() for part in state.values() if isinstance(part, Tensor) and part.numel()]
    if len({part.untyped_storage().data_ptr() for part in tensors}) < len(tensors):
        raise damaged(path, "its optimizer keeps several numbers in the same memory")


# ---------------------------------------------------------------- schedules, callbacks and progress


def check_schedules(path: Path, found: Mapping[str, Any], module: VAEModule) -> None:
    """Check the states of β's schedule and of the schedules in the model and the objective."""
    check_kind(path, "schedules", found, {name: schedule.state_dict() for name, schedule in module.schedules().items()})
    for name, state in found.items():
        steps = state.get("steps_per_unit")
        if steps is not None and not steps > 0:
            raise damaged(path, f"schedules.{name}.steps_per_unit is {steps}")


def check_callbacks(path: Path, found: Mapping[str, Any], trainer: Trainer, module: VAEModule) -> None:
    """Check the states of this package's callbacks and of Lightning's early stopping; a user's own may have any state.

    Args:
        path: the checkpoint.
        found: the states in it, by the callbacks' keys.
        trainer: the trainer of the run.
        module: its module.

    Raises:
        RunError: a state does not fit this run.
        UserError: the run's weights are averages, and the callback that makes them was left out.
    """
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # not annotated by Lightning
    if EMA.state_key in found and not any(isinstance(callback, EMA) for callback in callbacks):
        raise UserError("callbacks: this run averages its weights, so it can only be resumed with callbacks/ema=default.")
    for callback in callbacks:
        state, own = found.get(callback.state_key), callback.state_dict()
        if state is not None and isinstance(callback, EMA):
            callback.check_state(path, state, module)
        elif state is not None and own and callback.__class__.__module__.startswith("vae_lightning."):
            check_kind(path, f"callbacks.{callback.__class__.__name__}", state, own)


def check_progress(path: Path, content: Mapping[str, Any], trainer: Trainer) -> None:
    """Check that the counters of Lightning's own progress agree with the position."""
    loops, place = content["loops"], content["position"]
    check_kind(path, "loops.fit_loop", loops.get("fit_loop"), loop_state(trainer), least=0)
    progress = saved_progress(loops)
    if (progress.epochs, progress.steps) != (place["epoch"], content["global_step"]):
        raise damaged(path, "loops, position and global_step contradict each other")
    data = content.get("VAEDataModule", {"epoch": place["epoch"], "batch": place["batch"]})
    if data != {"epoch": place["epoch"], "batch": place["batch"]}:
        raise damaged(path, "VAEDataModule and position contradict each other")


def check_kind(path: Path, name: str, found: Any, own: Any, least: float = -math.inf) -> None:
    """Compare a saved state with a new one, at every level.

    Args:
        path: the checkpoint.
        name: what is compared, for the message.
        found: the state in the checkpoint.
        own: the new state. None in it stands for a value that is not known yet: a number, a short text or None. An empty
            mapping in it may have plain numbers in the checkpoint.
        least: the smallest value allowed for a number.

    Raises:
        RunError: a key is missing or unknown, or a value has another type or shape, or is not finite.
    """
    if isinstance(own, Mapping) and isinstance(found, Mapping):
        if isinstance(own, Counter) or not own:
            fits = all(is_number(value) and value >= least for value in found.values())
        else:
            fits = found.keys() == own.keys()
            for key in own if fits else ():
                check_kind(path, f"{name}.{key}", found[key], own[key], least)
    elif isinstance(own, list | tuple) and isinstance(found, list | tuple):
        fits = len(found) == len(own)
        for a, b in zip(found, own, strict=False):
            check_kind(path, name, a, b, least)
    elif isinstance(own, Tensor) and isinstance(found, Tensor):
        fits = found.shape == own.shape and found.dtype == own.dtype
    elif own is None:
        fits = found is None or is_number(found) or (isinstance(found, str) and len(found) < 1000)
    elif isinstance(own, bool | str):
        fits = type(found) is type(own)
    elif isinstance(own, int | float):
        fits = (is_number(found) and found >= least) or (not math.isfinite(own) and isinstance(found, float))
    else:
        fits = type(found) is type(own)
    if not fits:
        raise damaged(path, f"{name} does not match this run")


# ---------------------------------------------------------------- errors that appear only when Lightning restores


@contextmanager
def explain_restoring(path: Path) -> Iterator[None]:
    """Raise RunError if Lightning or torch fails in this block while it restores the checkpoint."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if raised_while_restoring(error):
            raise damaged(path, f"it cannot be restored ({error.__class__.__name__})") from error
        raise
