"""CONTRIBUTING.md, the Makefile and the pre-commit hooks agree with the code."""

from __future__ import annotations

import re
import subprocess
import tomllib

import pytest
import yaml

from tests.running import REPOSITORY

TEXT = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:vae_lightning|conf|tests|docs)/[\w./]*)`", TEXT)) | set(re.findall(r"\]\(([^)]+)\)", TEXT)))


def lint_commands() -> list[str]:
    """The commands of `make lint`, as they run in the project's environment."""
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", MAKEFILE, flags=re.MULTILINE)
    assert recipe is not None
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]


@pytest.mark.parametrize("path", PATHS)
def test_every_path_exists(path: str) -> None:
    assert (REPOSITORY / path).exists(), f"CONTRIBUTING.md names {path}"


def test_the_map_lists_every_room_from_the_lowest_up() -> None:
    layers = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"][0][
        "layers"
    ]
    floors = [set(layer.split(" | ")) for layer in reversed(layers)]
    listed = re.findall(r"^\| \[`(\w+)/`\]", TEXT, flags=re.MULTILINE)
    assert len(listed) == 13
    assert set(listed) == {path.parent.name for path in (REPOSITORY / "vae_lightning").glob("*/__init__.py")}
    heights = [next(i for i, floor in enumerate(floors) if room in floor) for room in listed]
    assert heights == sorted(heights)


def test_pre_commit_runs_what_make_lint_runs() -> None:
    config = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    hooks = config["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == lint_commands()
    assert all(hook["always_run"] and not hook["pass_filenames"] and hook["language"] == "system" for hook in hooks)


def test_workflows_test_every_python_that_is_supported() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8"))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tested = workflow["jobs"]["tests"]["strategy"]["matrix"]["python-version"]
    assert project["requires-python"] == f">={tested[0]},<3.{int(tested[-1].split('.')[1]) + 1}"
    for path in (REPOSITORY / ".github" / "workflows").glob("*.yml"):
        for target in re.findall(r"run: make ([\w-]+)", path.read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:", MAKEFILE, flags=re.MULTILINE), f"{path.name} runs make {target}"


def test_make_help_fits_into_80_columns() -> None:
    command = ["make", "--no-print-directory", "help"]  # under `make test`, make would also name its directory
    listed = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.splitlines()
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)\n", MAKEFILE, flags=re.MULTILINE)
    assert phony is not None
    assert {line.split()[1] for line in listed} == set(phony[1].replace("\\", " ").split())
    assert [line for line in listed if len(line) > 80] == []
