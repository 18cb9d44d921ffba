"""What a sweep from someone else may say: the one place that decides. `docs/security.md` says the same for users.

Resuming a sweep types its arguments again, and arguments can name any code, file or address. So those of a foreign sweep (one
without the user's signature in `sweep.json`) may only choose shipped options and set shipped keys that write and connect nowhere;
with `trust_run_code=true` beside `resume_sweep=` they are taken as they stand. Imports no torch.
"""

from __future__ import annotations

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
from vae_lightning.runs.trust import CACHE, IGNORED_TRAINER, SAFE_STRATEGIES, UNSAFE_TRAINER

# of these groups, the options that neither connect nor write outside of the run folder
SAFE_OPTIONS = {
    "logger": ("tensorboard", "csv", "both", "none"),
    "debug": ("overfit",),
    "hydra/launcher": ("basic", "joblib"),
    "hydra/sweeper": ("grid", "optuna"),
}
HYDRA_GROUPS = (*SAFE_OPTIONS, "hydra/sweeper/sampler", "hydra/sweeper/pruner")
# of `hydra`, what may be set, and keys of groups of which most may not
HYDRA_KEYS = (
    "hydra.launcher.n_jobs", "hydra.sweeper.metrics", "hydra.sweeper.directions", "hydra.sweeper.n_trials",
    "hydra.sweeper.n_jobs", "hydra.sweeper.report", "hydra.sweeper.study_name", "hydra.sweeper.sampler.", "hydra.sweeper.pruner.",
)  # fmt: skip
LOGGER_KEYS = ("logger.tensorboard.projector_images", "logger.csv.flush_logs_every_n_steps")
# shipped keys that name folders, dry runs that delete their sweep, and what takes or starts other things
UNSAFE_KEYS = (
    "output_dir", "resume", PUBLISHED, "trainer.fast_dev_run", *(f"trainer.{name}" for name in IGNORED_TRAINER),
    *(f"data.{name}" for name in CACHE),
)  # fmt: skip
# keys that may be set to these values only
ONLY: dict[str, tuple[Any, ...]] = {
    "data.download": (False,),
    "trainer.strategy": SAFE_STRATEGIES,
    **{f"trainer.{name}": (value,) for name, value in UNSAFE_TRAINER.items()},
}
# written or truncated in place, so that a hard link to a file outside would change that file
IN_PLACE = ("sweep.lock", "multirun.yaml", "study.log")


def check_foreign_sweep(sweep: Sweep, key: str = "resume_sweep") -> None:
    """Checks that a sweep which is not the user's own, nor trusted, goes in nothing beyond the shipped options.

    Args:
        sweep: the record.
        key: the command line's name for it, for error messages.

    Raises:
        UserError: it does. The sentence names the argument and what would allow it.
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
    """The arguments that a foreign sweep may not have."""
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


def _as_list(value: Any) -> list[Any]:
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


def _is_value(key: str, value: Any) -> bool:
    """Whether a key may have this value: a mapping may have no other keys than those that ship."""
    if isinstance(value, str) and value.lower() in ("true", "false", "null") and key in ONLY:
        value = {"true": True, "false": False, "null": None}[value.lower()]
    if key in ONLY and value not in ONLY[key]:
        return False
    if isinstance(value, dict):
        return all(_is_key(f"{key}.{name}") and _is_value(f"{key}.{name}", part) for name, part in value.items())
    # a mapping in a list would be built as an object
    return not isinstance(value, list) or not any(isinstance(part, dict) for _, _, part in walk_entries(value))


@cache
def shipped_keys() -> frozenset[str]:
    """Every dotted key of the shipped files, where Hydra puts it."""
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
    """Checks that what a sweep writes beside its jobs' folders stays in its own folder.

    Raises:
        UserError: a file is a link to outside, or another name of a file that may lie outside.
        RunError: a file is a folder, a FIFO or a device.
    """
    root = folder.resolve()
    for path in (*folder.glob("*"), *(folder / "jobs").glob("*")):
        status = path.lstat()
        shown = printable(str(path))
        if stat.S_ISLNK(status.st_mode) and not path.resolve().is_relative_to(root):
            raise UserError(f"{shown} is a link to outside the sweep's folder: remove the link.")
        if path.name in IN_PLACE or path.suffix == ".lock":
            if not stat.S_ISREG(status.st_mode):
                raise RunError(f"{shown} is not an ordinary file, as it is in a sweep: remove it.")
            if status.st_nlink > 1:
                raise UserError(f"{shown} is a hard link, and what is written to it would change another file: remove it.")
    jobs = folder / "jobs"
    if jobs.exists() and (jobs.is_symlink() or not jobs.is_dir()):
        raise UserError(f"{printable(str(jobs))} is not a folder, as it is in a sweep: remove it.")
