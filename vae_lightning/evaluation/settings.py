"""Settings of a measure or a picture: a dataclass that checks its own fields, built from a part of the configuration.

Imports no torch, so that a bad setting is reported at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

from vae_lightning.errors import InvalidValue, UserError, did_you_mean, prefix_key

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    SettingsT = TypeVar("SettingsT", bound=DataclassInstance)


def build_settings(settings: type[SettingsT], key: str, values: Mapping[str, Any]) -> SettingsT:
    """Build the dataclass `settings` from the values below the configuration key `key`.

    Args:
        settings: the dataclass.
        key: the configuration key, for error messages.
        values: its values by field.

    Raises:
        UserError: a value that the dataclass has no field for.
        InvalidValue: a value out of range, named by its full key such as `nll.samples`.
    """
    if not isinstance(values, Mapping):
        raise InvalidValue(key, values, "a mapping of settings, or left out for the defaults")
    known = [field.name for field in fields(settings)]
    for name in values:
        if name not in known:
            allowed = f"Allowed: {', '.join(known)}" if known else f"{key} has no settings"
            raise UserError(f"{key}.{name}: unknown key.{did_you_mean(str(name), known)} {allowed}.")
    with prefix_key(key):
        return settings(**{str(name): value for name, value in values.items()})
