"""Nothing public in the rooms that are used from Python lacks a docstring, its own or that of what it overrides."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import FunctionType, ModuleType

from vae_lightning.models.distributions.base import LatentDistribution

ROOMS = ("schedules", "models", "objectives", "plots", "evaluation", "runs", "api")
# methods of a protocol, which its implementations do not inherit
PROTOCOL = {name for name, member in vars(LatentDistribution).items() if inspect.getdoc(member)} | {"detached"}


def modules() -> Iterator[ModuleType]:
    for room in ROOMS:
        package = importlib.import_module(f"vae_lightning.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def own_classes(module: ModuleType) -> Iterator[type]:
    for name, found in vars(module).items():
        if isinstance(found, type) and found.__module__ == module.__name__ and not name.startswith("_"):
            yield found


def is_documented(owner: type, name: str) -> bool:
    return name in PROTOCOL or any(inspect.getdoc(vars(base)[name]) for base in owner.__mro__ if name in vars(base))


def test_public_methods_are_documented() -> None:
    missing = [
        f"{owner.__module__}.{owner.__name__}.{name}"
        for module in modules()
        for owner in own_classes(module)
        for name, member in vars(owner).items()
        if not name.startswith("_")
        and getattr(member, "__name__", name) == name  # not a lambda, the default of a field
        and isinstance(member, FunctionType | property | classmethod | staticmethod)
        and not is_documented(owner, name)
    ]
    assert missing == []


def test_public_functions_of_three_arguments_document_each() -> None:
    """ruff's D417 then checks that none is missing."""
    missing = []
    for module in modules():
        for node in ast.parse(inspect.getsource(module)).body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
                refers = "the arguments are those of" in (ast.get_docstring(node) or "")
                if len(arguments) >= 3 and "Args:" not in (ast.get_docstring(node) or "") and not refers:
                    missing.append(f"{module.__name__}.{node.name}")
    assert missing == []
