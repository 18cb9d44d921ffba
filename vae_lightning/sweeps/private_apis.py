"""All undocumented parts of other libraries that the sweeps use, kept in this file.

Read in Hydra 1.3.8; `tests/sweeps/test_private_apis.py` fails when they change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra.core.config_loader import ConfigLoader
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


def add_plugin(target: str, make: Callable[..., Sweeper]) -> None:
    """Make a sweeper known to Hydra under the name `target`, which must start with `hydra_plugins.`.

    Hydra looks up the `_target_` of a sweeper in `Plugins.class_name_to_class`. The documented `Plugins.register` takes the
    name from the class's module, and the module must lie in a package named hydra_plugins, which Hydra imports at the start of
    every Hydra program in the same environment. Registering by name needs no such package.
    """
    registry: dict[str, Any] = Plugins.instance().class_name_to_class
    registry[target] = make


def make_sweeper(config: DictConfig, loader: ConfigLoader, task: TaskFunction) -> Sweeper:
    """Make the sweeper that a composed configuration names, as Hydra's main does.

    Args:
        config: the configuration of the whole sweep.
        loader: the loader that composes the configurations of the jobs.
        task: the function that is called with the configuration of each job.
    """
    context = HydraContext(config_loader=loader, callbacks=Callbacks(config))
    return Plugins.instance().instantiate_sweeper(config=config, hydra_context=context, task_function=task)
