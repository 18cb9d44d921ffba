"""`python -m vae_lightning.published runs=outputs`: published results beside ours, written as docs/results.md."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from vae_lightning.cli import run_app
from vae_lightning.errors import InvalidValue, RunError


def main() -> None:
    run_app(write, "published")


def write(config: DictConfig) -> None:
    """Writes `config.page` from the run folders below `config.runs`; says what was left out."""
    for key in ("runs", "page"):
        if not isinstance(config[key], str) or not config[key]:
            raise InvalidValue(key, config[key], "a path")
    from vae_lightning.files import write_text
    from vae_lightning.published.attempts import attempts, run_folders
    from vae_lightning.published.page import page
    from vae_lightning.published.recipes import recipes

    known = recipes()
    found, notes = attempts(run_folders(Path(config.runs).expanduser()), known)
    target = Path(config.page).expanduser()
    try:
        write_text(target, page(known, found))
    except OSError as error:
        raise RunError(f"{target} cannot be written ({error.strerror}).") from error
    for note in notes:
        sys.stdout.write(f"{note}\n")
    runs = sum(map(len, found.values()))
    sys.stdout.write(f"{target}: {len(found)} of {len(known)} recipes, {runs} run{'' if runs == 1 else 's'}\n")


if __name__ == "__main__":
    main()
