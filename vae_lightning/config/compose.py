"""Compose the configuration with Hydra's public API, without running anything.

Hydra takes about 0.2 s for each composition, so a command that runs once composes once (see `command_line.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from hydra import compose, initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from vae_lightning.config.builtin import conf_dir
from vae_lightning.config.messages import one_sentence
from vae_lightning.config.private_apis import MAPPING_FOR_LIST, config_loader, hydra_set_aside, refused_override
from vae_lightning.errors import UserError

VERSION_BASE = "1.3"


class UserFolders(SearchPathPlugin):
    """Adds the folders of --config-dir and hydra.searchpath to Hydra's search path while `hydra_composer` is open."""

    folders: ClassVar[tuple[str, ...]] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in self.folders:
            search_path.append("command-line", folder if "://" in folder else f"file://{Path(folder).absolute()}")


class Composer:
    """The groups, options and compositions of the configuration. Made by `hydra_composer`, and valid inside its block."""

    def __init__(self, loader: ConfigLoader) -> None:
        self.loader = loader
        self.groups: list[str] = loader.list_groups("")
        self._options: dict[str, list[str]] = {}

    def options(self, group: str) -> list[str]:
        """List the options of `group`; none if it does not exist. Cached, because Hydra copies its whole repository each time."""
        if group not in self._options:
            self._options[group] = self.loader.get_group_options(group)
        return self._options[group]

    def compose(self, config_name: str, overrides: Sequence[str]) -> DictConfig:
        """Return the composed configuration, including Hydra's own node `hydra`.

        Raises:
            UserError: Hydra cannot compose it.
        """
        try:
            return compose(config_name, overrides=list(overrides), return_hydra_config=True)
        except (HydraException, OmegaConfBaseException, YAMLError) as error:
            override = refused_override(error)  # the deeper error may not name it
            sentence = one_sentence(error) if override is None else f"{override}: {one_sentence(error)}"
            raise UserError(sentence.replace(MAPPING_FOR_LIST, "must be a list, not a mapping")) from error
        except ValueError as error:  # an option that is a number, such as `objective=3`
            raise UserError(one_sentence(error)) from error


@contextmanager
def hydra_composer(folders: Sequence[str] = ()) -> Iterator[Composer]:
    """Initialise Hydra with the shipped configuration and the user's `folders`; restore its former state at the end."""
    added = UserFolders.folders
    Plugins.instance().register(UserFolders)
    UserFolders.folders = tuple(folders)
    try:
        with hydra_set_aside(), initialize_config_dir(str(conf_dir()), version_base=VERSION_BASE):
            yield Composer(config_loader())
    finally:
        UserFolders.folders = added


def compose_config(config_name: str, overrides: Sequence[str]) -> DictConfig:
    """Return the composed configuration without the node `hydra`. Call it inside `hydra_composer`.

    Raises:
        UserError: Hydra cannot compose it.
    """
    return without_hydra(Composer(config_loader()).compose(config_name, overrides))


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a copy without the node `hydra`: what a command's task is given."""
    copy = config.copy()
    with open_dict(copy):
        copy.pop("hydra", None)
    return copy


def quote(text: str) -> str:
    """Return any text as a quoted string in the grammar of Hydra's overrides."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
