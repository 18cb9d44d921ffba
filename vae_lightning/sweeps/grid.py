"""`python train.py -m model=mlp,conv beta=1,4`: every combination of the listed values."""

from __future__ import annotations

import math
from itertools import product

from hydra.core.override_parser.types import Override

from vae_lightning.config.overrides import MOST_VALUES, swept_values
from vae_lightning.errors import UserError
from vae_lightning.runs.sweep_record import FINISHED
from vae_lightning.sweeps.sweeper import RecordedSweeper, check_swept, label_of


class GridSweeper(RecordedSweeper):
    """Runs every combination of lists, ranges, globs and choices; the last key changes fastest."""

    def check(self, overrides: dict[str, Override]) -> None:
        """Refuse intervals too, and more jobs than anyone can run."""
        super().check(overrides)
        check_swept(overrides, Override.is_discrete_sweep, "an interval cannot be swept on a grid; search it with sweep=optuna.")
        jobs = math.prod(len(texts) for texts in _texts(overrides))
        if jobs > MOST_VALUES:
            raise UserError(f"These lists make {jobs:,} combinations; a sweep has at most {MOST_VALUES:,} jobs.")

    def total(self, overrides: dict[str, Override]) -> int:
        """Return the number of combinations."""
        return len(self.record.jobs) or len(combinations(overrides))

    def run(self, overrides: dict[str, Override]) -> None:
        """Launch all combinations that are not finished yet."""
        if not self.record.jobs:
            swept = [key for key, override in overrides.items() if override.is_sweep_override()]
            for combination in combinations(overrides):
                self.record.add(combination, label_of(combination, swept))
        self.launch([job for job in self.record.jobs if self.record.state(job)["state"] not in FINISHED])


def combinations(overrides: dict[str, Override]) -> list[list[str]]:
    """Return the overrides of each job."""
    return [list(line) for line in product(*_texts(overrides))]


def _texts(overrides: dict[str, Override]) -> list[list[str]]:
    """Return every form of each override: `beta=1,2` has two."""
    return [
        [f"{key}={value}" for value in swept_values(override)] if override.is_sweep_override() else [override.input_line or ""]
        for key, override in overrides.items()
    ]
