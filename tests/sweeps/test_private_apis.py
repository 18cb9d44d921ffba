"""Fails when a library changes the undocumented parts that the sweeps use."""

from __future__ import annotations

import subprocess
import sys

from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper

from tests.running import REPOSITORY

CODE = """
import sys
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.types import HydraContext
from vae_lightning.config.builtin import conf_dir
from vae_lightning.sweeps.register import register_sweepers

register_sweepers()
assert "optuna" not in sys.modules and "torch" not in sys.modules
for name, module in (("grid", "vae_lightning.sweeps.grid"), ("optuna", "vae_lightning.sweeps.search")):
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", [f"hydra/sweeper={name}", "hydra.sweep.dir=x"], return_hydra_config=True)
        context = HydraContext(config_loader=None, callbacks=None)
        sweeper = Plugins.instance().instantiate_sweeper(hydra_context=context, task_function=None, config=config)
    assert type(sweeper).__module__ == module, sweeper
"""


def test_hydra_finds_sweepers_by_the_names_in_their_files_and_imports_optuna_only_when_used() -> None:
    """In its own process, where nothing has imported Optuna yet."""
    done = subprocess.run([sys.executable, "-c", CODE], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hydra_keeps_its_plugins_in_a_dictionary_by_name() -> None:
    """What `private_apis.add_plugin` relies on."""
    registry = Plugins.instance().class_name_to_class
    assert type(registry) is dict
    (basic,) = [plugin for plugin in Plugins.instance().discover(Sweeper) if plugin.__name__ == "BasicSweeper"]
    assert registry[f"{basic.__module__}.{basic.__name__}"] is basic
