"""Makes a copy of a run or sweep hostile: `victim` is somebody else's folder, which must not change."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Hostile = Callable[[Path, Path], None]
PRECIOUS = "precious.txt"


def linked(name: str, target: str) -> Hostile:
    """`name` in the run folder is a link to `target` in the victim's."""

    def make(run: Path, victim: Path) -> None:
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            for part in sorted(path.rglob("*"), reverse=True):
                part.rmdir() if part.is_dir() else part.unlink()
            path.rmdir()
        path.unlink(missing_ok=True)
        path.symlink_to(victim / target)

    return make


def replaced(name: str, make: Callable[[Path], object]) -> Hostile:
    """`name` in the run folder, a file or a folder, is what `make` makes of it."""

    def change(run: Path, victim: Path) -> None:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        make(path)

    return change


def hard_linked(name: str) -> Hostile:
    def make(run: Path, victim: Path) -> None:
        path = run / name
        path.unlink(missing_ok=True)
        os.link(victim / PRECIOUS, path)

    return make


def special(name: str, make: Callable[[Path], object]) -> Hostile:
    def change(run: Path, victim: Path) -> None:
        path = run / name
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        make(path)

    return change


def configured(run: Path, place: str, value: Any) -> None:
    path = run / "config.yaml"
    content = yaml.safe_load(path.read_text())
    node, keys = content, place.split(".")
    for key in keys[:-1]:
        node = node.setdefault(key, {}) or node[key]
    node[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))


def says(place: str, value: Any) -> Hostile:
    """`config.yaml` with a value at a dotted place; VICTIM in it is the victim's folder."""

    def make(run: Path, victim: Path) -> None:
        configured(run, place, json.loads(json.dumps(value).replace("VICTIM", str(victim))))

    return make


def slug(name: str) -> str:
    return re.sub(r"\W+", "-", name).strip("-")
