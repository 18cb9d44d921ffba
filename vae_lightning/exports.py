"""Public names that are imported when first used, so that importing a package does not import torch or Lightning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import TypeVar

ClassT = TypeVar("ClassT")


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return a module-level `__getattr__` (PEP 562) for `package`.

    Args:
        package: the package's `__name__`.
        modules: for each public name, the dotted path of the module that defines it; for a module, its own path.

    Returns:
        A function from a name to the object; it raises AttributeError for any other name.
    """

    def look_up(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(modules[name])
        return module if modules[name] == f"{package}.{name}" else getattr(module, name)

    return look_up


def classes_in(package: str, modules: Iterable[str], base: type[ClassT]) -> list[type[ClassT]]:
    """Return the subclass of `base` that each of the modules of `package` defines, in the order of the modules."""
    found = []
    for name in modules:
        module = import_module(f"{package}.{name}")
        defined = [value for value in vars(module).values() if isinstance(value, type) and value.__module__ == module.__name__]
        (only,) = [value for value in defined if issubclass(value, base)]
        found.append(only)
    return found
