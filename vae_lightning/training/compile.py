"""`compile`: the loss of a training step as one program, made by torch's compiler (`torch.compile`)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vae_lightning.config.messages import one_line
from vae_lightning.errors import InvalidValue, RunError
from vae_lightning.models.vae import VAE
from vae_lightning.noise import GlobalNoise, Noise, StreamNoise
from vae_lightning.objectives import Losses, Objective

BACKEND = "inductor"
NOT_COMPILED = "none"
GRAPHS = "reduce-overhead"  # replays CUDA graphs, whose results stand in memory that the next step writes to


class CompiledObjective:
    """`objective` by torch's compiler, for training: the same noise, and the same losses and gradients but for rounding.

    It is compiled when it is first called, and again for another batch size. mode: torch's `default` or `reduce-overhead`.
    InvalidValue for the latter without a GPU, RunError where torch cannot compile.
    """

    def __init__(self, objective: Objective, mode: str, device: torch.device) -> None:
        if mode == GRAPHS and device.type != "cuda":
            raise InvalidValue("compile", mode, f"default or none on a {device.type}, since CUDA graphs need a GPU")
        torch.compiler.reset()  # what the runs before this one in a sweep's process have left behind
        self.objective, self.mode, self.begun = objective, mode, False
        self.compiled: Any = torch.compile(objective.forward, backend=BACKEND, dynamic=False, options=options(mode))

    def __call__(self, vae: VAE, x: Tensor, beta: float | Tensor, noise: Noise, c: Tensor | None = None) -> Losses:
        if not self.begun:
            self.look_up_formulas(vae, x, c)
        if isinstance(noise, StreamNoise):  # a program may draw from the global generator only
            noise = noise.hand_to_global_generator()
        if self.mode == GRAPHS:
            torch.compiler.cudagraph_mark_step_begin()
        # a number would be compiled in, and each new one anew
        weight = beta if isinstance(beta, Tensor) else torch.full((), beta, device=x.device)
        try:
            losses: Losses = self.compiled(vae, x, weight, noise, c)
        except torch._dynamo.exc.TorchDynamoException as error:
            cause = getattr(error, "inner_exception", error)
            raise RunError(f"compile={self.mode}: torch cannot compile this step, set compile=none: {one_line(cause)}") from error
        return {name: value.clone() for name, value in losses.items()} if self.mode == GRAPHS else losses

    def look_up_formulas(self, vae: VAE, x: Tensor, c: Tensor | None) -> None:
        """torch looks for the KL's formula when it first meets a pair of distributions, in a way that it cannot compile."""
        self.begun, buffers = True, {name: buffer.clone() for name, buffer in vae.named_buffers()}
        self.objective(vae, x[:2], 1.0, GlobalNoise(), None if c is None else c[:2])
        for name, buffer in vae.named_buffers():  # running means, say, as they were
            buffer.copy_(buffers[name])


def options(mode: str) -> dict[str, Any] | None:
    """Those of `mode`, but with noise by torch's own generator, where this compiler would have one of its own."""
    if BACKEND != "inductor":
        return None
    from torch._inductor import list_mode_options  # a second to import

    return {**list_mode_options(mode), "fallback_random": True}
