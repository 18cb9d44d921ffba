"""Train, understand and measure Variational Auto-Encoders.

`from vae_lightning import load, VAE`: names are imported on first use, so that `--help` does not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vae_lightning.exports import lazy_exports
from vae_lightning.version import __version__

if TYPE_CHECKING:
    from vae_lightning.models.vae import VAE as VAE
    from vae_lightning.runs.folder import load as load

__all__ = ["VAE", "__version__", "load"]

__getattr__ = lazy_exports(__name__, {"VAE": "vae_lightning.models.vae", "load": "vae_lightning.runs.folder"})
