"""`python -m vae_lightning.cli.published runs=outputs`: compare our results with published ones in docs/results.md.

The values of each run are kept as a record in docs/results/, so that the page can be written again after the run is deleted.
"""

from __future__ import annotations

import sys

from omegaconf import DictConfig

from vae_lightning.cli.app import run_app
from vae_lightning.cli.outputs import output_file
from vae_lightning.errors import InvalidValue, RunError


def main() -> None:
    """Run the command."""
    run_app(write, "published")


def write(config: DictConfig) -> None:
    """Write `config.page` from `config.records` and the run folders below `config.runs`, and list the runs left out."""
    for key in ("page", "records", "runs"):
        if not (isinstance(config[key], str) and config[key]) and not (key == "runs" and config[key] is None):
            raise InvalidValue(key, config[key], "a path or null" if key == "runs" else "a path")
    from vae_lightning.files import user_path, write_text
    from vae_lightning.reports.published.find_runs import find_runs, run_folders
    from vae_lightning.reports.published.recipes import recipes
    from vae_lightning.reports.published.records import write_record
    from vae_lightning.reports.published.results_page import page

    known = recipes()
    target, records = output_file("page", config.page, (".md",)), user_path("records", config.records)
    assert target is not None
    folders = [] if config.runs is None else run_folders(user_path("runs", config.runs))
    found, notes = find_runs(folders, known, records.glob("*.json"))
    try:
        for name, runs in found.items():
            for run in runs:
                if run.value is not None and run.folder.parent != records:
                    write_record(records, known[name], run)
        write_text(target, page(known, found))
    except OSError as error:
        raise RunError(f"{error.filename or target} cannot be written ({error.strerror}).") from error
    for note in notes:
        sys.stdout.write(f"{note}\n")
    count = sum(map(len, found.values()))
    sys.stdout.write(f"{target}: {len(found)} of {len(known)} recipes, {count} run{'' if count == 1 else 's'}\n")


if __name__ == "__main__":
    main()
