"""Public names that are imported when first used, so that importing a package does not import torch or Lightning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return a module-level `__getattr__` (PEP 562) for `package`.

    Args:
        package: the package's `__name__`.
        modules: for each public name, the dotted path of the module that defines it.

    Returns:
        A function from a name to the object; it raises AttributeError for any other name.
    """

    def look_up(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(modules[name]), name)

    return look_up
