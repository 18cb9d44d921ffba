"""`init_from=<run>`: start from the weights of another run; `freeze=[encoder]`: keep parts as they are."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vae_lightning.errors import InvalidValue, UserError, did_you_mean
from vae_lightning.models.vae import VAE
from vae_lightning.runs.checkpoint_schema import check_finite
from vae_lightning.runs.folder import find_run, read_checkpoint

MOST_NAMES = 5  # in a message


@torch.no_grad()
def start_from(vae: VAE, path: str) -> str | None:
    """Copy the weights of another run into `vae`, as far as they fit. Optimizer and schedules start anew.

    Args:
        vae: changed in place.
        path: a run folder, whose best checkpoint is read, or a checkpoint in it.

    Returns:
        What keeps its new weights because the other run has none of its name, shape and type; None if all were copied.

    Raises:
        UserError: there is no such run, or nothing of it fits.
        RunError: its checkpoint is damaged or diverged.
    """
    run = find_run(path)
    found = {name: value for name, value in read_checkpoint(run.checkpoint)["state_dict"].items() if name.startswith("vae.")}
    check_finite(run.checkpoint, found)
    weights = vae.state_dict()
    fitting = {name: found[f"vae.{name}"] for name, own in weights.items() if fits(found.get(f"vae.{name}"), own)}
    left = [name for name in weights if name not in fitting]
    if not any(value.dim() > 1 for value in fitting.values()):  # a bias may fit by chance
        raise UserError(f"init_from={path}: none of its weights fit this model; choose the same model, or leave init_from out.")
    vae.load_state_dict(fitting, strict=False)
    return f"not in {run.folder.name} with this shape, so new: {listed(left)}" if left else None


def fits(found: Tensor | None, own: Tensor) -> bool:
    """Whether a weight can be copied as it is."""
    return found is not None and found.shape == own.shape and found.dtype == own.dtype


def listed(names: Sequence[str]) -> str:
    """Join the first few names."""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def freeze(vae: VAE, given: object) -> None:
    """Let the weights of some parts of the model get no gradient.

    Args:
        vae: changed in place.
        given: the name of a part, or several; None for none.

    Raises:
        InvalidValue: one of them is not a part of the model that has weights.
        UserError: nothing is left to train.
    """
    parts = [] if given is None else list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    known = {name: part for name, part in vae.named_children() if any(True for _ in part.parameters())}
    for name in parts:
        if name not in known:
            allowed = f"parts of this model that have weights: {', '.join(known)}.{did_you_mean(str(name), known)}"
            raise InvalidValue("freeze", name, allowed.rstrip("."))
        part: nn.Module = known[str(name)]
        part.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in vae.parameters()):
        raise UserError(f"freeze=[{','.join(map(str, parts))}]: leaves no weight to train; leave a part out.")
