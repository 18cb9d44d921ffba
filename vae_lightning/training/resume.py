"""`resume=…`: finds the checkpoint, applies the overrides that are allowed, and rolls the run folder back to it.

A resumed run ends bit for bit as if it had not been interrupted. Other modules restore the order of the data (`data_position.py`,
`datamodule.py` and `data/sampler.py`), random states and running means (`checkpoint_state.py`), and log files (`log_files.py`).
Lightning restores the weights, the optimizer and its own progress.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.data_paths import PATH_KEYS
from vae_lightning.config.run_overrides import with_overrides
from vae_lightning.errors import RunError, UserError, plural
from vae_lightning.files import user_path
from vae_lightning.runs import folder as runs
from vae_lightning.runs.checkpoint_files import BEST, LAST, PREVIOUS, is_intact, link_or_copy
from vae_lightning.runs.checkpoint_schema import check_resumable
from vae_lightning.runs.config_file import write_config
from vae_lightning.runs.trust import check_folder, left_out_note, restrict

GROUPS = ("trainer", "callbacks", "logger")
WHERE = tuple(f"data.{key}" for key in PATH_KEYS)
KEYS = (
    "data.batch_size", "data.eval_batch_size", "data.num_workers", "data.download", "data.cache", "data.cache_limit", *WHERE,
    "compile",
)  # fmt: skip
ORDER = (LAST, PREVIOUS, BEST)


class ResumePoint(NamedTuple):
    """Where a run is resumed.

    Args:
        folder: the run folder.
        config: the run's configuration, with the overrides applied.
        checkpoint: the checkpoint file.
        content: what the file holds.
        overrides: the overrides of this resume.
        own: whether the run's configuration bears the user's signature.
        notes: messages for the user.
    """

    folder: Path
    config: DictConfig
    checkpoint: Path
    content: dict[str, Any]
    overrides: tuple[str, ...]
    own: bool = False
    notes: tuple[str, ...] = ()

    @property
    def epoch(self) -> int:
        return int(self.content["position"]["epoch"])

    @property
    def step(self) -> int:
        return int(self.content["global_step"])


def find_resume_point(path: str, overrides: Sequence[str], trust_run_code: bool = False) -> ResumePoint:
    """Find the checkpoint to resume from and apply the overrides to the run's configuration.

    Args:
        path: a run folder, or a checkpoint in one.
        overrides: the overrides of the command line.
        trust_run_code: whether code that the run's configuration names may be imported.

    Raises:
        UserError: there is no such run, or an override is not allowed.
        RunError: the checkpoint is damaged.
    """
    folder = runs.folder_of(path, "resume")
    check_folder(folder)
    checkpoint = _checkpoint(path, folder)
    content = runs.read_checkpoint(checkpoint)
    reached = content.get("position")
    if not isinstance(reached, dict) or "ranks" not in content:
        raise UserError(f"resume={path}: {checkpoint} was written by another version and cannot be resumed.")
    check_resumable(checkpoint, content)
    if not reached["resumable"]:
        raise UserError(f"resume={path}: {checkpoint.name} was written during a validation; use resume={folder}.")
    run, left_out = runs.find_run(checkpoint, trust_run_code=trust_run_code), list[str]()
    config = run.config
    if not (run.own or trust_run_code):
        config, left_out = restrict(config)
    config.compile = config.get("compile", "none")  # runs of earlier versions do not have this key
    notes = (left_out_note(left_out),) if left_out else ()
    return ResumePoint(folder, change(config, overrides), checkpoint, content, tuple(overrides), run.own, notes)


def _checkpoint(path: str, folder: Path) -> Path:
    """Return the checkpoint that `path` names, else the newest one of the run: last.ckpt if there is one.

    If it is damaged, raise RunError with the command that resumes from an earlier one.
    """
    given = user_path("resume", path)
    existing = [folder / "checkpoints" / name for name in ORDER]
    existing = [file for file in existing if file.is_file()]
    if given.suffix == ".ckpt":
        if not given.is_file():
            raise UserError(f"resume={path}: no such file.")
    elif not existing:
        raise UserError(
            f"resume={path} has no checkpoint in {folder / 'checkpoints'}: it was stopped before its first one. Start a new "
            "run with the overrides listed in its config.yaml."
        )
    chosen = given if given.suffix == ".ckpt" else existing[0]
    if is_intact(chosen):
        return chosen
    others = [file for file in existing if file != chosen and is_intact(file)]
    offer = f"resume from an earlier one with: python train.py resume={others[0]}" if others else "there is no other"
    raise RunError(f"{chosen} is damaged (truncated or changed): {offer}.")


def change(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Return the run's configuration with `overrides`; raise UserError if one changes what the weights or the data mean."""
    changed = with_overrides(config, overrides, GROUPS, "train")
    for text in overrides:
        key = text.partition("=")[0].partition("@")[0]
        free = key.partition(".")[0] in GROUPS or key in KEYS
        if not free and _value(changed, key) != _value(config, key):
            raise UserError(
                f"{text}: {key} cannot change on a resume (the run has {key}={_value(config, key)}), since its weights, data or "
                f"schedules depend on it; leave it out, or start a new run. What can change: {', '.join((*GROUPS, *KEYS))}."
            )
    if changed.trainer.fast_dev_run:
        raise UserError("trainer.fast_dev_run saves nothing that could be resumed: leave it out.")
    return changed


def _value(config: DictConfig, key: str) -> object:
    return config.choices[key] if key in config.get("choices", {}) else OmegaConf.select(config, key)


def already_finished(start: ResumePoint) -> str | None:
    """Return a message that the run is finished; None if there is something left to do."""
    trainer, reached = start.config.trainer, start.content["position"]
    results = runs.Run(start.folder, start.config, start.checkpoint).results
    if reached["batch"] or results.get("steps") != start.step:  # written after the last step
        return None
    epochs, steps = trainer.max_epochs, trainer.max_steps
    done = f"{start.folder} is finished ({plural(start.epoch, 'epoch')}, {plural(start.step, 'step')})"
    if early_stopped(start):
        return f"{done}: early stopping ended it; raise callbacks.early_stopping.patience to continue."
    if epochs is not None and 0 <= epochs <= start.epoch:
        longer = f"trainer.max_epochs={2 * start.epoch}"
    elif 0 <= steps <= start.step:
        longer = f"trainer.max_steps={2 * start.step}"
    else:
        return None
    rest = lr_is_zero(start)
    return f"{done}: {rest}; start a new run with {longer}." if rest else f"{done}: {longer} extends it."


def lr_is_zero(start: ResumePoint) -> str:
    """Return a message if the learning rate has reached 0, since schedules keep the original run's length; else empty."""
    groups = [group for state in start.content["optimizer_states"] for group in state["param_groups"]]
    if any(float(group.get("lr", 1.0)) for group in groups):
        return ""
    return f"lr_schedule={start.config.choices.lr_schedule} has brought the learning rate to 0, so further steps change nothing"


def early_stopped(start: ResumePoint) -> bool:
    from vae_lightning.training.callbacks.early_stopping import has_stopped

    patience = OmegaConf.select(start.config, "callbacks.early_stopping.patience")
    states = start.content.get("callbacks", {})
    return patience is not None and any(
        has_stopped(state, patience)
        for state in states.values()
        if isinstance(state, dict) and "wait_count" in state and "patience" in state
    )


def reread_checkpoint(start: ResumePoint) -> ResumePoint:
    """Read the checkpoint again once the run folder is locked: until then, processes of a killed command may have replaced it."""
    content = runs.read_checkpoint(start.checkpoint)
    check_resumable(start.checkpoint, content)
    return start._replace(content=content)


def roll_back_to_checkpoint(start: ResumePoint) -> list[str]:
    """Roll the run folder back to the checkpoint.

    The checkpoint becomes last.ckpt, metrics.csv and the event files are truncated, half-written files are deleted, and
    `config.yaml` gets the overrides.

    Returns:
        Messages for the user.

    Raises:
        RunError: `metrics.csv` is damaged, so that no row can be appended to it.
    """
    from vae_lightning.training.log_files import read_header, truncate_logs

    table = start.folder / "metrics.csv"
    if start.content["files"].get(table.name) and table.is_file():
        read_header(table)  # a damaged one is refused before anything changes
    for half_written in start.folder.rglob(".*.tmp"):  # left by a process that was killed
        if not half_written.is_dir():
            half_written.unlink(missing_ok=True)
    last = start.folder / "checkpoints" / LAST
    if start.checkpoint != last:
        link_or_copy(start.checkpoint, last)
        if start.checkpoint.name != PREVIOUS:
            last.with_name(PREVIOUS).unlink(missing_ok=True)  # it belongs to steps that are now rolled back
    config = start.config
    history = list(config.get("resumes") or [])
    history.append(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "checkpoint": start.checkpoint.name,
            "epoch": start.epoch,
            "step": start.step,
            "overrides": list(start.overrides),
        }
    )
    config.resumes = history
    write_config(start.folder, config, sign=start.own)
    notes = [*start.notes, *truncate_logs(start.folder, start.content["files"], (start.folder / "results.json").exists())]
    if "trainer" in {text.partition(".")[0] for text in start.overrides} and lr_is_zero(start):
        notes.append(f"{lr_is_zero(start)}: to train longer, start a new run.")
    return notes
