"""The setting `compile`: runs the loss of a training step through torch's compiler (`torch.compile`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vae_lightning.config.messages import one_line
from vae_lightning.errors import InvalidValue, RunError
from vae_lightning.models.vae import VAE
from vae_lightning.noise import GlobalNoise, Noise, StreamNoise
from vae_lightning.objectives import Losses, Objective
from vae_lightning.training.private_apis import compiler_errors

BACKEND = "inductor"
NOT_COMPILED = "none"
GRAPHS = "reduce-overhead"  # replays CUDA graphs, whose results are in memory that the next step overwrites


class CompiledObjective:
    """A compiled `objective`, for training: the same noise, and the same losses and gradients up to rounding.

    It is compiled on the first call, and again for each other batch size.

    Args:
        objective: the objective to compile.
        mode: torch's `default` or `reduce-overhead`.
        device: the device that the model is trained on.

    Raises:
        InvalidValue: `reduce-overhead` without a GPU.
        RunError: torch cannot compile the objective (when called).
    """

    def __init__(self, objective: Objective, mode: str, device: torch.device) -> None:
        if mode == GRAPHS and device.type != "cuda":
            raise InvalidValue("compile", mode, f"default or none on a {device.type}, since CUDA graphs need a GPU")
        torch.compiler.reset()  # free what earlier runs of a sweep compiled in this process
        self.objective, self.mode, self.begun = objective, mode, False
        self.compiled: Any = torch.compile(objective.forward, backend=BACKEND, dynamic=False, options=options(mode))

    def __call__(self, vae: VAE, x: Tensor, beta: float | Tensor, noise: Noise, c: Tensor | None = None) -> Losses:
        if not self.begun:
            self.look_up_formulas(vae, x, c)
        if isinstance(noise, StreamNoise):  # a compiled function can only draw from the global generator
            noise = noise.hand_to_global_generator()
        if self.mode == GRAPHS:
            torch.compiler.cudagraph_mark_step_begin()
        # a tensor: a Python number would be compiled in as a constant, and each new value would compile again
        weight = beta if isinstance(beta, Tensor) else torch.full((), beta, device=x.device)
        try:
            losses: Losses = self.compiled(vae, x, weight, noise, c)
        except compiler_errors() as error:
            cause = getattr(error, "inner_exception", error)
            raise RunError(f"compile={self.mode}: torch cannot compile this step, set compile=none: {one_line(cause)}") from error
        return {name: value.clone() for name, value in losses.items()} if self.mode == GRAPHS else losses

    def look_up_formulas(self, vae: VAE, x: Tensor, c: Tensor | None) -> None:
        """Run the objective once: torch's first look-up of the KL formula for two distributions cannot be compiled."""
        self.begun, buffers = True, {name: buffer.clone() for name, buffer in vae.named_buffers()}
        self.objective(vae, x[:2], 1.0, GlobalNoise(), None if c is None else c[:2])
        for name, buffer in vae.named_buffers():  # running means, for example: restore them
            buffer.copy_(buffers[name])


def options(mode: str) -> dict[str, Any] | None:
    """Return the compiler's options: those of `mode`, plus noise from torch's own generator instead of the compiler's."""
    if BACKEND != "inductor":
        return None
    return {"fallback_random": True, **({"triton.cudagraphs": True} if mode == GRAPHS else {})}
