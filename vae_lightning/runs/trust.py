"""What a run from someone else may do: this is the only place that decides. `docs/security.md` explains it to users.

- Nothing outside a run folder is written, truncated or deleted: `check_folder` refuses a folder with links that lead out of it.
- Code that a foreign `config.yaml` names runs only if it ships with this package: `runs.config_file.check_foreign`.
- Shipped code that could write elsewhere or connect to a network is left out of a foreign configuration: `restrict`.

A run is the user's own if its configuration has the user's signature (`runs.signature`); any other is foreign. With
`trust_run_code=true` a foreign run is trusted like one's own. What the user types is never restricted.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, open_dict

from vae_lightning.errors import RunError, UserError, printable

FOLDERS = (
    "checkpoints",
    "figures",
    "film",
    "generated",
    "exported",
    "projector",
    "samplers",
    "csv",
    "train",
    "val",
)  # made by a run
FILES = ("config.yaml", "results.json", "metrics.csv", "run.log", "explorer.html", "projector_config.pbtxt", ".lock")
# files in these folders and beside them have one of these endings
SUFFIXES = (".ckpt", ".csv", ".gif", ".npz", ".onnx", ".pbtxt", ".png", ".pt", ".safetensors", ".tmp", ".tsv", ".yaml")
EVENTS = "events.out.tfevents"
JOURNALS = ("run.log", "metrics.csv", EVENTS)  # appended to or truncated in place; all other files are replaced
TENSORBOARD = "vae_lightning.training.loggers.TensorBoard"
CSV = "lightning.pytorch.loggers.CSVLogger"
SAFE_LOGGERS = {
    TENSORBOARD: ("_target_", "label", "projector_images"),
    CSV: ("_target_", "prefix", "flush_logs_every_n_steps"),
}
SAFE_STRATEGIES = ("auto", "ddp", "ddp_spawn", "ddp_fork")
# arguments of the Trainer that write elsewhere, connect to a network or take objects, and the values they get instead
UNSAFE_TRAINER = {"profiler": None, "plugins": None, "num_nodes": 1}
CACHE = ("cache", "cache_limit")  # of `data`: a folder that is written to, and what is deleted in it
IGNORED_TRAINER = ("default_root_dir", "logger", "callbacks")  # the run's own are used


def check_folder(folder: Path) -> None:
    """Check that everything below a run folder is an ordinary file or a folder in it, and is where a run has one.

    The run folder itself may be reached by a link.

    Raises:
        UserError: a link leads out of the folder or nowhere, or is where a run has a folder, or a log is another name of a file
            that may lie outside.
        RunError: something is a FIFO, a device or a socket, which no run has, or a folder is where a run has a file.
    """
    root = Path(os.path.realpath(folder))
    for place, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(place, name)
            try:
                _check_entry(path, root, folder)
            except FileNotFoundError:  # removed in the meantime, by another command
                continue


def _check_entry(path: Path, root: Path, folder: Path) -> None:
    status = path.lstat()
    place = path.relative_to(root)
    shown = printable(str(folder / place))
    if stat.S_ISLNK(status.st_mode):
        target = Path(os.path.realpath(path))
        if not target.is_relative_to(root):
            raise UserError(f"{shown} is a link to outside the run folder, {printable(str(target))}: remove the link.")
        if not target.exists():  # in circles, or to nothing
            raise UserError(f"{shown} is a link that leads nowhere: remove the link.")
        if str(place) in FOLDERS:
            raise UserError(f"{shown} is a link, and a run has a folder there: remove the link.")
        status = path.stat()
    if stat.S_ISDIR(status.st_mode) and is_file_name(place):
        raise RunError(f"{shown} is a folder, and a run has a file there: remove it.")
    if not stat.S_ISDIR(status.st_mode) and str(place) in FOLDERS:
        raise RunError(f"{shown} is a file, and a run has a folder there: remove it.")
    if stat.S_ISREG(status.st_mode):
        if status.st_nlink > 1 and path.name.startswith(JOURNALS):
            raise UserError(f"{shown} is a hard link, so writing to it would change another file: replace it with a copy.")
    elif not stat.S_ISDIR(status.st_mode) and not stat.S_ISLNK(status.st_mode):
        raise RunError(f"{shown} is not an ordinary file, as everything in a run folder must be: remove it.")


def is_file_name(place: Path) -> bool:
    """Whether a run writes a file at `place` in its folder, rather than a folder."""
    known = len(place.parts) == 1 or (len(place.parts) == 2 and place.parts[0] in FOLDERS)
    return str(place) in FILES or place.name.startswith(EVENTS) or (known and place.suffix in SUFFIXES)


def restrict(config: DictConfig) -> tuple[DictConfig, list[str]]:
    """Remove what could write outside the run folder or connect to another machine from a foreign configuration.

    Args:
        config: the configuration of a run, from `read_config`.

    Returns:
        A copy, and the keys that were removed from it or reset.
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
    """Keep only loggers that write to the run folder, without arguments that name another folder."""
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
    """Forget the recorded overrides of what was restricted: choosing a group again (`logger=mlflow`) would apply them."""
    unsafe = ("logger.", "data.download", "data.cache", *(f"trainer.{name}" for name in (*UNSAFE_TRAINER, *IGNORED_TRAINER)))

    def kept(texts: Sequence[object]) -> list[str]:
        return [str(text) for text in texts if not str(text).lstrip("+~").startswith(unsafe)]

    config.overrides = kept(config.get("overrides") or [])
    for entry in config.get("resumes") or []:
        if isinstance(entry, DictConfig) and "overrides" in entry:
            entry.overrides = kept(entry.overrides or [])


def left_out_note(left_out: Sequence[str]) -> str:
    """Return the line that says what was left out of a foreign run."""
    keys = ", ".join(printable(key) for key in left_out)
    return f"This run is not signed as yours, so its {keys} is ignored: to use it, type it again or add trust_run_code=true."
