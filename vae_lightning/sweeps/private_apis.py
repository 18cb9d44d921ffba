"""All undocumented parts of other libraries that the sweeps use, kept in this file.

Read in Hydra 1.3.8; `tests/sweeps/test_private_apis.py` fails when they change.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper


def add_plugin(target: str, make: Callable[..., Sweeper]) -> None:
    """Make a sweeper known to Hydra under the name `target`, which must start with `hydra_plugins.`.

    Hydra looks up the `_target_` of a sweeper in `Plugins.class_name_to_class`. The documented `Plugins.register` takes the
    name from the class's module, and the module must lie in a package named hydra_plugins, which Hydra imports at the start of
    every Hydra program in the same environment. Registering by name needs no such package.
    """
    registry: dict[str, Any] = Plugins.instance().class_name_to_class
    registry[target] = make
