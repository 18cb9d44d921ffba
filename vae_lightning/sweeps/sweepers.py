"""The sweepers of this framework, made known to Hydra. Imports no torch, and Optuna only when it is searched with."""

from __future__ import annotations

from typing import Any

from vae_lightning.sweeps.grid import GridSweeper
from vae_lightning.sweeps.sweeper import register


def register_all() -> None:
    register("GridSweeper", GridSweeper)
    register("OptunaSweeper", optuna_sweeper)


def optuna_sweeper(**arguments: Any) -> Any:
    from vae_lightning.sweeps.search import OptunaSweeper

    return OptunaSweeper(**arguments)
