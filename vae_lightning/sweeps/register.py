"""Registers the sweepers with Hydra under the names that conf/hydra/sweeper uses."""

from __future__ import annotations

from typing import Any

from hydra.plugins.sweeper import Sweeper

from vae_lightning.sweeps.private_apis import add_plugin


def register_sweepers() -> None:
    """Make `_target_: hydra_plugins.vae_lightning.GridSweeper` and `….OptunaSweeper` known to Hydra."""
    add_plugin("hydra_plugins.vae_lightning.GridSweeper", grid_sweeper)
    add_plugin("hydra_plugins.vae_lightning.OptunaSweeper", optuna_sweeper)


def grid_sweeper(**arguments: Any) -> Sweeper:
    """Create a `GridSweeper`."""
    from vae_lightning.sweeps.grid import GridSweeper

    return GridSweeper(**arguments)


def optuna_sweeper(**arguments: Any) -> Sweeper:
    """Create an `OptunaSweeper`. Optuna is imported only here, so that other runs start without it."""
    from vae_lightning.sweeps.search import OptunaSweeper

    return OptunaSweeper(**arguments)
