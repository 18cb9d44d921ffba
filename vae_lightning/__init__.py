"""Train, understand and measure Variational Auto-Encoders.

`from vae_lightning import load, VAE`: the names are looked up when first used, so that importing the package (as every
command does before it knows what it is asked) costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vae_lightning.runs import load as load
    from vae_lightning.vae import VAE as VAE

__version__ = "0.1.0"
__all__ = ["VAE", "__version__", "load"]

_HOME = {"VAE": "vae_lightning.vae", "load": "vae_lightning.runs"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vae_lightning' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
