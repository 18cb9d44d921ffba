"""What a sweep from someone else may contain: this is the only place that decides. `docs/security.md` explains it to users.

Resuming a sweep runs its command line again, which can name any code, file or address. So a foreign sweep (one without the
user's signature in `sweep.json`) may only choose shipped options, and set shipped keys that neither write elsewhere nor connect
to a network. With `trust_run_code=true` in addition to `resume_sweep=` it is trusted. Imports no torch.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.types import Glob, Override

from vae_lightning.config.builtin import PUBLISHED, conf_dir, is_special, walk_entries
from vae_lightning.config.compose import Composer, hydra_composer
from vae_lightning.config.overrides import group_of, is_countable, is_group, parse, swept_values
from vae_lightning.errors import RunError, UserError, format_value, printable
from vae_lightning.runs.config_file import OPTION, is_text
from vae_lightning.runs.sweep_record import Sweep
from vae_lightning.runs.trust import IGNORED_TRAINER, SAFE_STRATEGIES, UNSAFE_TRAINER

# the options of these groups that neither connect to a network nor write outside the run folder
SAFE_OPTIONS = {
    "logger": ("tensorboard", "csv", "both", "none"),
    "debug": ("overfit",),
    "hydra/launcher": ("basic", "joblib"),
    "hydra/sweeper": ("grid", "optuna"),
}
HYDRA_GROUPS = (*SAFE_OPTIONS, "hydra/sweeper/sampler", "hydra/sweeper/pruner")
# the keys of `hydra` that may be set
HYDRA_KEYS = (
    "hydra.launcher.n_jobs", "hydra.sweeper.metrics", "hydra.sweeper.directions", "hydra.sweeper.n_trials",
    "hydra.sweeper.n_jobs", "hydra.sweeper.report", "hydra.sweeper.study_name", "hydra.sweeper.sampler.", "hydra.sweeper.pruner.",
)  # fmt: skip
LOGGER_KEYS = ("logger.tensorboard.projector_images", "logger.csv.flush_logs_every_n_steps")
# shipped keys that name folders, start something else, or make dry runs, which delete their sweep
IGNORED_KEYS = tuple(f"trainer.{name}" for name in IGNORED_TRAINER)
UNSAFE_KEYS = ("output_dir", "resume", "init_from", PUBLISHED, "trainer.fast_dev_run", *IGNORED_KEYS)
# keys that may only have these values
ONLY: dict[str, tuple[Any, ...]] = {
    "data.download": (False,),
    "trainer.strategy": SAFE_STRATEGIES,
    **{f"trainer.{name}": (value,) for name, value in UNSAFE_TRAINER.items()},
}
# written or truncated in place, so a hard link would change the file outside that it leads to
IN_PLACE = ("sweep.lock", "multirun.yaml", "study.log")


def check_foreign_sweep(sweep: Sweep, key: str = "resume_sweep") -> None:
    """Check that a sweep stays within the shipped options, unless it is the user's own or trusted.

    Args:
        sweep: the record.
        key: the command line's name for it, for error messages.

    Raises:
        UserError: it does not. The message names the argument, and what would allow it.
    """
    if sweep.trusted:
        return
    texts = dict.fromkeys([*sweep.arguments, *(text for job in sweep.jobs for text in job.overrides)])
    beyond = next(_beyond(texts), None)
    if beyond is None and sweep.search is not None and sweep.search.get("storage") is not None:
        beyond = f"search.storage={sweep.search['storage']}"
    if beyond is not None:
        raise UserError(
            f"{key}={printable(str(sweep.folder))}: this sweep is not signed as yours, and {format_value(beyond)} goes beyond "
            f"the shipped options, so it could run code, write elsewhere or connect: add {OPTION} if you trust whoever made it."
        )


def _beyond(texts: Iterable[str]) -> Iterator[str]:
    """Yield the arguments that a foreign sweep may not have."""
    with hydra_composer() as composer:
        for text in texts:
            if not is_allowed(text, composer):
                yield text


def is_allowed(text: str, composer: Composer) -> bool:
    """Whether an argument of a foreign sweep only chooses shipped options and sets shipped keys."""
    if text.startswith("-") or "${" in text or not is_text(text) or len(text) > 10_000:
        return text in ("-m", "--multirun")
    try:
        override = parse(text, composer.loader)
        return _is_option(override, composer) if is_group(override, composer) else _is_setting(override)
    except (UserError, RecursionError):
        return False


def _is_option(override: Override, composer: Composer) -> bool:
    group = group_of(override)
    if "@" in override.get_key_element() or (group.startswith("hydra/") and group not in HYDRA_GROUPS):
        return False
    allowed = SAFE_OPTIONS.get(group, composer.options(group))
    if override.is_sweep_override():
        return all(value in allowed for value in swept_values(override))
    return all(str(value) in allowed for value in _as_list(override.value()))


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _is_setting(override: Override) -> bool:
    key = override.key_or_group
    if override.package is not None or not _is_key(key):
        return False
    if override.is_delete():
        return True
    if not override.is_sweep_override():
        return _is_value(key, override.value())
    if override.is_interval_sweep():
        return key not in ONLY
    if isinstance(override.value(), Glob):
        return False
    return is_countable(override) and all(_is_value(key, value) for value in override.sweep_iterator())


def _is_key(key: str) -> bool:
    if any(is_special(part) for part in key.split(".")):
        return False
    if key.startswith("hydra"):
        return key.startswith(tuple(name for name in HYDRA_KEYS if name.endswith("."))) or key in HYDRA_KEYS
    if key.startswith("logger."):
        return key in LOGGER_KEYS
    return key in shipped_keys() and not any(key == name or key.startswith(f"{name}.") for name in UNSAFE_KEYS)


def _is_value(key: str, value: object) -> bool:
    """Whether a key may have this value: a mapping may only have shipped keys."""
    if isinstance(value, str) and value.lower() in ("true", "false", "null") and key in ONLY:
        value = {"true": True, "false": False, "null": None}[value.lower()]
    if key in ONLY and value not in ONLY[key]:
        return False
    if isinstance(value, dict):
        return all(_is_key(f"{key}.{name}") and _is_value(f"{key}.{name}", part) for name, part in value.items())
    # a mapping in a list could be built as an object
    return not isinstance(value, list) or not any(isinstance(part, dict) for _, _, part in walk_entries(value))


@cache
def shipped_keys() -> frozenset[str]:
    """Return every dotted key of the shipped files, where Hydra puts it."""
    found = set()
    for path in conf_dir().rglob("*.yaml"):
        folder = path.relative_to(conf_dir()).parent.parts
        if folder == () and path.stem != "train":
            continue
        text = path.read_text(encoding="utf-8")
        start = () if text.startswith("# @package _global_") else folder
        found |= {".".join([*place, str(key)]) for place, key, _ in walk_entries(yaml.safe_load(text), start)}
    return frozenset(found)


def check_sweep_folder(folder: Path) -> None:
    """Check that the files that a sweep writes next to its jobs' folders stay in its own folder.

    Raises:
        UserError: a file is a link to outside, or a hard link to a file that may be outside.
        RunError: a file is a folder, a FIFO or a device.
    """
    root = folder.resolve()
    for path in (*folder.glob("*"), *(folder / "jobs").glob("*")):
        status = path.lstat()
        shown = printable(str(path))
        if stat.S_ISLNK(status.st_mode):
            target = Path(os.path.realpath(path))
            if not target.is_relative_to(root):
                raise UserError(f"{shown} is a link to outside the sweep's folder: remove the link.")
            if not target.exists():  # in circles, or to nothing
                raise UserError(f"{shown} is a link that leads nowhere: remove the link.")
        if path.name in IN_PLACE or path.suffix == ".lock":
            if not stat.S_ISREG(status.st_mode):
                raise RunError(f"{shown} is not an ordinary file, as it must be in a sweep: remove it.")
            if status.st_nlink > 1:
                raise UserError(f"{shown} is a hard link, so writing to it would change another file: remove it.")
    jobs = folder / "jobs"
    if jobs.exists() and (jobs.is_symlink() or not jobs.is_dir()):
        raise UserError(f"{printable(str(jobs))} is not a folder, as it must be in a sweep: remove it.")
