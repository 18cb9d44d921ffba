"""What a run from someone else may do: the one place that decides. `docs/security.md` says the same for users.

- Nothing outside of a run folder is written, truncated or deleted: `check_folder` refuses one with links that lead out of it.
- Nothing that a foreign `config.yaml` names runs, unless it ships with this package: `runs.config_file.check_foreign`.
- What ships and could write elsewhere or connect is left out of a foreign configuration: `restrict`.

A run is the user's own if its configuration bears the user's signature (`runs.signature`); any other is foreign. With
`trust_run_code=true` it is taken as it stands, and what the user types always counts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from vae_lightning.errors import RunError, UserError, printable

JOURNALS = ("run.log", "metrics.csv", "events.out.tfevents")  # appended to or truncated in place; all else is replaced
TENSORBOARD = "vae_lightning.training.loggers.TensorBoard"
CSV = "lightning.pytorch.loggers.CSVLogger"
SAFE_LOGGERS = {
    TENSORBOARD: ("_target_", "label", "projector_images"),
    CSV: ("_target_", "prefix", "flush_logs_every_n_steps"),
}
SAFE_STRATEGIES = ("auto", "ddp", "ddp_spawn", "ddp_fork")
# arguments of the Trainer that write elsewhere, connect, or take objects, and what they become
UNSAFE_TRAINER = {"profiler": None, "plugins": None, "num_nodes": 1}
CACHE = ("cache", "cache_limit")  # of `data`: a folder that is written to, and what is deleted in it
IGNORED_TRAINER = ("default_root_dir", "logger", "callbacks")  # the run's own are used


def check_folder(folder: Path) -> None:
    """Checks that everything below a run folder is an ordinary file or a folder in it.

    The run folder itself may be reached by a link.

    Raises:
        UserError: a link leads out of the folder, or a log is another name of a file that may lie outside.
        RunError: something is a FIFO, a device or a socket, which no run has.
    """
    root = Path(os.path.realpath(folder))
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(place, name)
            try:
                _check_entry(path, root, folder)
            except FileNotFoundError:  # removed meanwhile, by a command that runs
                continue


def _check_entry(path: Path, root: Path, folder: Path) -> None:
    status = path.lstat()
    shown = printable(str(folder / path.relative_to(root)))
    if stat.S_ISLNK(status.st_mode):
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(root):
            raise UserError(f"{shown} is a link to outside the run folder, {printable(str(target))}: remove the link.")
        status = path.stat() if target.exists() else status
    if stat.S_ISREG(status.st_mode):
        if status.st_nlink > 1 and path.name.startswith(JOURNALS):
            raise UserError(f"{shown} is a hard link, and what is written to it would change another file: replace it by a copy.")
    elif not stat.S_ISDIR(status.st_mode) and not stat.S_ISLNK(status.st_mode):
        raise RunError(f"{shown} is not an ordinary file, as everything in a run folder is: remove it.")


def restrict(config: DictConfig) -> tuple[DictConfig, list[str]]:
    """A foreign configuration without what could write outside of the run folder or connect to another machine.

    Args:
        config: of a run, as `read_config` returns it.

    Returns:
        A copy, and the keys that were left out of it or reset.
    """
    safe, left_out = config.copy(), list[str]()
    with open_dict(safe):
        _restrict_loggers(safe, left_out)
        _restrict_trainer(safe, left_out)
        if OmegaConf.select(safe, "data.download"):
            safe.data.download = False
            left_out.append("data.download")
        left_out += [f"data.{key}" for key in forget_cache(safe)]
        _forget_overrides(safe)
    return safe, left_out


def forget_cache(config: DictConfig) -> list[str]:
    """Leaves out of a foreign configuration where decoded pictures are kept, and how many: the user's own cache is used.

    Returns:
        What was left out that names another folder.
    """
    data = config.get("data") or {}
    named = ["cache"] if data.get("cache") is not None else []
    with open_dict(config):
        for key in CACHE:
            if key in data:
                data.pop(key)
    return named


def _restrict_loggers(config: DictConfig, left_out: list[str]) -> None:
    """Only loggers that write into the run folder, without arguments that name another one."""
    for name, node in list((config.get("logger") or {}).items()):
        target = node.get("_target_") if isinstance(node, DictConfig) else None
        if node is None:
            continue
        if target not in SAFE_LOGGERS:
            config.logger.pop(name)
            left_out.append(f"logger.{name}")
            continue
        safe = {key: node[key] for key in SAFE_LOGGERS[target] if key in node}
        if target == CSV:
            safe |= {"name": "", "version": "csv"}
            if (node.get("name", ""), node.get("version", "csv")) != ("", "csv"):
                left_out.append(f"logger.{name}.name")
        config.logger[name] = safe


def _restrict_trainer(config: DictConfig, left_out: list[str]) -> None:
    trainer = config.trainer
    for name, value in UNSAFE_TRAINER.items():
        if trainer.get(name, value) != value:
            trainer[name] = value
            left_out.append(f"trainer.{name}")
    for name in IGNORED_TRAINER:
        if name in trainer:
            trainer.pop(name)
            left_out.append(f"trainer.{name}")
    strategy = trainer.get("strategy", "auto")
    if str(strategy).removesuffix("_find_unused_parameters_true") not in SAFE_STRATEGIES:
        trainer.strategy = "auto"
        left_out.append("trainer.strategy")


def _forget_overrides(config: DictConfig) -> None:
    """The recorded overrides of what was restricted, which choosing a group again (`logger=mlflow`) would bring back."""
    unsafe = ("logger.", "data.download", "data.cache", *(f"trainer.{name}" for name in (*UNSAFE_TRAINER, *IGNORED_TRAINER)))

    def kept(texts: Sequence[object]) -> list[str]:
        return [str(text) for text in texts if not str(text).lstrip("+~").startswith(unsafe)]

    config.overrides = kept(config.get("overrides") or [])
    for entry in config.get("resumes") or []:
        if isinstance(entry, DictConfig) and "overrides" in entry:
            entry.overrides = kept(entry.overrides or [])


def left_out_note(left_out: Sequence[str]) -> str:
    """The line that says what was left out of a foreign run."""
    keys = ", ".join(printable(key) for key in left_out)
    return f"This run is not signed as yours, so {keys} of it is left out: type it again, or add trust_run_code=true, to have it."
