"""Train, understand and measure Variational Auto-Encoders: `import vae_lightning as vl`, then `vl.train("beta=4")`.

Names are imported on first use, so that `--help` does not wait for torch; docs/python.md lists them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vae_lightning.exports import lazy_exports
from vae_lightning.version import __version__

if TYPE_CHECKING:
    from vae_lightning import evaluation as evaluation
    from vae_lightning import models as models
    from vae_lightning import objectives as objectives
    from vae_lightning import schedules as schedules
    from vae_lightning.api.compose import compose as compose
    from vae_lightning.api.evaluate import evaluate as evaluate
    from vae_lightning.api.sweep import sweep as sweep
    from vae_lightning.api.train import train as train
    from vae_lightning.errors import RunError as RunError
    from vae_lightning.errors import UserError as UserError
    from vae_lightning.models.vae import VAE as VAE
    from vae_lightning.runs.folder import Run as Run
    from vae_lightning.runs.folder import load as load
    from vae_lightning.training.datamodule import DataModule as DataModule
    from vae_lightning.training.module import VAEModule as VAEModule

_MODULES = {
    "vae_lightning.api.compose": ("compose",),
    "vae_lightning.api.evaluate": ("evaluate",),
    "vae_lightning.api.sweep": ("sweep",),
    "vae_lightning.api.train": ("train",),
    "vae_lightning.errors": ("RunError", "UserError"),
    "vae_lightning.models.vae": ("VAE",),
    "vae_lightning.runs.folder": ("Run", "load"),
    "vae_lightning.training.datamodule": ("DataModule",),
    "vae_lightning.training.module": ("VAEModule",),
    **{f"vae_lightning.{room}": (room,) for room in ("evaluation", "models", "objectives", "schedules")},
}
__all__ = [
    "VAE", "DataModule", "Run", "RunError", "UserError", "VAEModule", "__version__", "compose", "evaluate", "evaluation", "load",
    "models", "objectives", "schedules", "sweep", "train",
]  # fmt: skip

__getattr__ = lazy_exports(__name__, {name: module for module, names in _MODULES.items() for name in names})


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # for tab completion
