"""The user's own modules, which a trusted configuration may name."""

from __future__ import annotations

import os
import sys

from omegaconf import DictConfig

from vae_lightning.errors import check_bool


def find_own_modules() -> None:
    """Let a `_target_` name a module in the current folder.

    Call it for a trusted configuration only: libraries try optional imports, and a file in that folder could match any of them.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())


def trusts_run_code(config: DictConfig) -> bool:
    """Whether `trust_run_code=true` was given. If so, modules in the current folder can be imported too."""
    trusted = check_bool("trust_run_code", config.trust_run_code)
    if trusted:
        find_own_modules()
    return trusted
