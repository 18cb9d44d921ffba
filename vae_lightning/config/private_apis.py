"""The undocumented parts of Hydra and OmegaConf, and the texts of libraries' errors, that configuration and commands use.

They are those of Hydra 1.3.8, OmegaConf 2.3.1, torch 2.15.0 and safetensors 0.8.0. `tests/config/test_private_apis.py` raises
each error and fails when its text has changed.

| part | what it is used for | without it |
|---|---|---|
| Hydra's global state | compose before Hydra's own main has run, and again inside a job | one more composition for each command |
| `HydraConfig.cfg` | run a command as Hydra's main would, and restore the state afterwards | `hydra.main`, which composes again |
| lines that OmegaConf adds to a message | an error on one line | more lines |
| messages of Hydra, OmegaConf | name the key or the override | a message without it |
| torch's "too large" messages | say which part does not fit into memory | torch's message |
| "os error 28" | say that the disk is full | the library's message |
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from vae_lightning.errors import is_out_of_memory

# ---------------------------------------------------------------- Hydra's global state


@contextmanager
def hydra_set_aside() -> Iterator[None]:
    """Clear Hydra's global state, so that it can be initialised in this block; restore it at the end."""
    running, version = GlobalHydra.instance().hydra, VersionBase.instance().version_base
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().clear()  # another instance, if Hydra was initialised in between
        if running is not None:
            GlobalHydra.instance().initialize(running)
        VersionBase.instance().version_base = version


def config_loader() -> ConfigLoader:
    """Return the loader of the configuration that Hydra is initialised with."""
    return GlobalHydra.instance().config_loader()


@contextmanager
def as_hydra_config(composed: DictConfig) -> Iterator[None]:
    """Set `HydraConfig` to the node `hydra` of this configuration in this block; restore it at the end."""
    state = HydraConfig.instance()
    before = state.cfg
    state.set_config(composed)
    try:
        yield
    finally:
        state.cfg = before


# ---------------------------------------------------------------- messages of errors that have no class of their own

_LOCATION_LINES = ("full_key:", "object_type=", "reference_type=")  # OmegaConf; no attribute holds the message alone


def message_of(error: BaseException) -> str:
    """Return the message of an error, without the lines in which OmegaConf says where it occurred."""
    lines = (line.strip() for line in str(error).splitlines())
    return " ".join(line for line in lines if not line.startswith(_LOCATION_LINES))


def is_missing_key(error: BaseException) -> bool:
    """Whether a missing key of the configuration was read. OmegaConf uses the same class for keys of a wrong type."""
    text = str(error)
    return isinstance(error, ConfigKeyError | ConfigAttributeError) and (
        text.startswith("Missing key") or "is not in struct" in text
    )


def refused_override(error: BaseException) -> str | None:
    """Return the override that Hydra could not merge, such as `model.hidden={a:3}`; None if the error is another one."""
    found = re.match(r"Error merging override (.*)", str(error).partition("\n")[0])
    return found[1] if found else None


MAPPING_FOR_LIST = "Cannot merge DictConfig with ListConfig"  # OmegaConf: a mapping was given where a list is expected
_TOO_LARGE = (  # torch: RuntimeError or TypeError for a tensor with more bytes, or a longer side, than there can be
    "DefaultCPUAllocator",
    "Storage size calculation overflowed",
    "Overflow when unpacking",
    "array is too big",  # NumPy: ValueError
)


def is_too_large(error: BaseException) -> bool:
    """Whether an error while building an object means that it is too large for the memory."""
    if isinstance(error, OverflowError) or is_out_of_memory(error):
        return True
    return isinstance(error, RuntimeError | TypeError | ValueError) and any(text in str(error) for text in _TOO_LARGE)


def is_unknown_backend(error: BaseException) -> bool:
    """Whether matplotlib, when imported, refuses the value of MPLBACKEND."""
    return isinstance(error, ValueError) and "valid value for backend" in str(error)


def quoted_disk_error(error: BaseException) -> OSError | None:
    """Return the disk error whose number a library in C++ or Rust gives in its own message; None if it gives none."""
    number = re.search(r"os error (\d+)|[Ee]rrno (\d+)", str(error))
    code = int(number[1] or number[2]) if number else 0
    return OSError(code, os.strerror(code)) if code in errno.errorcode else None
