"""`resume=…`: which checkpoint a run goes on from, what may be changed on the way, and whether there is anything left to do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from vae_lightning.config.run_overrides import with_overrides
from vae_lightning.errors import RunError, UserError
from vae_lightning.files import write_text
from vae_lightning.runs import folder as runs
from vae_lightning.runs.checkpoint_files import BEST, LAST, PREVIOUS, is_intact, link_or_copy

GROUPS = ("trainer", "callbacks", "logger")
KEYS = ("data.batch_size", "data.eval_batch_size", "data.num_workers", "data.root", "data.download", "compile")
ORDER = (LAST, PREVIOUS, BEST)


class ResumePoint(NamedTuple):
    """Where a run goes on: its folder, its configuration as it now is, and the checkpoint with its content."""

    folder: Path
    config: DictConfig
    checkpoint: Path
    content: dict[str, Any]
    overrides: tuple[str, ...]

    @property
    def epoch(self) -> int:
        return int(self.content["position"]["epoch"])

    @property
    def step(self) -> int:
        return int(self.content["global_step"])


def find_resume_point(path: str, overrides: Sequence[str], trust_run_code: bool = False) -> ResumePoint:
    """UserError where there is no such run or an override is not allowed; RunError where its checkpoint is damaged."""
    folder = runs.folder_of(path, "resume")
    checkpoint = _checkpoint(path, folder)
    content = runs.read_checkpoint(checkpoint)
    place = content.get("position")
    if not isinstance(place, dict) or "ranks" not in content:
        raise UserError(f"resume={path}: {checkpoint} was written by another version, and training cannot go on from it.")
    if not place["resumable"]:
        raise UserError(f"resume={path}: {checkpoint.name} was written during a validation; go on from resume={folder}.")
    config = runs.find_run(checkpoint, trust_run_code=trust_run_code).config
    config.compile = config.get("compile", "none")  # a run from before there was any says nothing of it
    return ResumePoint(folder, change(config, overrides), checkpoint, content, tuple(overrides))


def _checkpoint(path: str, folder: Path) -> Path:
    """The one that was named; else last.ckpt, or the newest that is there. A damaged one is named, and the one before it."""
    given = Path(path).expanduser().absolute()
    there = [folder / "checkpoints" / name for name in ORDER]
    there = [file for file in there if file.is_file()]
    if given.suffix == ".ckpt":
        if not given.is_file():
            raise UserError(f"resume={path}: there is no such file.")
    elif not there:
        raise UserError(
            f"resume={path} has no checkpoint in {folder / 'checkpoints'}: its training did not get that far. Start a new run "
            "with the overrides that its config.yaml lists."
        )
    chosen = given if given.suffix == ".ckpt" else there[0]
    if is_intact(chosen):
        return chosen
    others = [file for file in there if file != chosen and is_intact(file)]
    offer = f"go on from the one before it with: python train.py resume={others[0]}" if others else "there is no other"
    raise RunError(f"{chosen} is damaged (it was cut short or changed) and is not read: {offer}.")


def change(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """The run's configuration with `overrides`, none of which may change what its weights or its data mean."""
    changed = with_overrides(config, overrides, GROUPS, "train")
    for text in overrides:
        key = text.partition("=")[0].partition("@")[0]
        free = key.partition(".")[0] in GROUPS or key in KEYS
        if not free and _value(changed, key) != _value(config, key):
            raise UserError(
                f"{text}: {key} is fixed once a run has begun (here {key}={_value(config, key)}), since its weights, data or "
                f"schedules depend on it; leave it out, or start a new run. What may change: {', '.join((*GROUPS, *KEYS))}."
            )
    if changed.trainer.fast_dev_run:
        raise UserError("trainer.fast_dev_run keeps nothing, so that there is nothing to go on with: leave it out.")
    return changed


def _value(config: DictConfig, key: str) -> Any:
    return config.choices[key] if key in config.get("choices", {}) else OmegaConf.select(config, key)


def already_finished(start: ResumePoint) -> str | None:
    """The sentence that says that nothing is left to do; None where something is."""
    trainer, place = start.config.trainer, start.content["position"]
    results = runs.Run(start.folder, start.config, start.checkpoint).results()
    if place["batch"] or results.get("steps") != start.step:  # written after the last step
        return None
    epochs, steps = trainer.max_epochs, trainer.max_steps
    done = f"{start.folder} is finished ({start.epoch} epochs, {start.step} steps)"
    if early_stopped(start):
        return f"{done}: early stopping ended it, and a greater callbacks.early_stopping.patience lets it go on."
    if epochs is not None and 0 <= epochs <= start.epoch:
        longer = f"trainer.max_epochs={2 * start.epoch}"
    elif 0 <= steps <= start.step:
        longer = f"trainer.max_steps={2 * start.step}"
    else:
        return None
    rest = lr_is_zero(start)
    return f"{done}: {rest}; a new run with {longer} learns longer." if rest else f"{done}: {longer} prolongs it."


def lr_is_zero(start: ResumePoint) -> str:
    """That the learning rate has fallen to 0, where it has: schedules keep their first horizon."""
    groups = [group for state in start.content["optimizer_states"] for group in state["param_groups"]]
    if any(float(group.get("lr", 1.0)) for group in groups):
        return ""
    return (
        f"lr_schedule={start.config.choices.lr_schedule} has brought its learning rate to 0, and further steps change no weight"
    )


def early_stopped(start: ResumePoint) -> bool:
    from vae_lightning.training.callbacks.early_stopping import stopped

    patience = OmegaConf.select(start.config, "callbacks.early_stopping.patience")
    states = start.content.get("callbacks", {})
    return patience is not None and any(
        stopped(state, patience) for state in states.values() if isinstance(state, dict) and "wait_count" in state
    )


def reread_checkpoint(start: ResumePoint) -> ResumePoint:
    """Read again once the run folder is held: processes of a command that was killed may have written another until then."""
    return start._replace(content=runs.read_checkpoint(start.checkpoint))


def roll_back_to_checkpoint(start: ResumePoint) -> list[str]:
    """Makes the folder what it was at the checkpoint; returns what is to be said of it.

    The checkpoint becomes last.ckpt, metrics.csv and the event files are cut back, half-written files go, and `config.yaml` says
    what was changed.
    """
    from vae_lightning.training.loggers import truncate_logs

    for half_written in start.folder.rglob(".*.tmp"):  # by a process that was killed meanwhile
        half_written.unlink(missing_ok=True)
    last = start.folder / "checkpoints" / LAST
    if start.checkpoint != last:
        link_or_copy(start.checkpoint, last)
        if start.checkpoint.name != PREVIOUS:
            last.with_name(PREVIOUS).unlink(missing_ok=True)  # of a future that will not be
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
    write_text(start.folder / "config.yaml", OmegaConf.to_yaml(config))
    short = truncate_logs(start.folder, start.content["files"])
    notes = [f"{name} is shorter than when the checkpoint was written: rows are missing from it." for name in short]
    if "trainer" in {text.partition(".")[0] for text in start.overrides} and lr_is_zero(start):
        notes.append(f"{lr_is_zero(start)}: to learn longer, start a new run.")
    return notes
