"""When checkpoints are written, and what the callbacks that decide it restore from one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.trainer.states import TrainerFn

from vae_lightning.training.callbacks.checkpoints import BestCheckpoint
from vae_lightning.training.callbacks.early_stopping import EarlyStopping
from vae_lightning.training.data_position import between_steps


def trainer(score: float | None = None, folder: Path = Path(), **changed: Any) -> Any:
    """A stand-in for a trainer within an epoch of 20 batches, after 30 steps."""
    loop = {"batch_progress": SimpleNamespace(is_last_batch=False), "max_steps": -1, "total_batch_idx": 30}
    loop |= {name: changed.pop(name) for name in ("max_steps", "batch_progress") if name in changed}
    return SimpleNamespace(
        **{
            "fit_loop": SimpleNamespace(epoch_loop=SimpleNamespace(**loop)),
            "num_training_batches": 20, "accumulate_grad_batches": 1, "should_stop": False, "global_step": 31,
            "val_check_batch": float("inf"), "check_val_every_n_epoch": 1, "sanity_checking": False, "val_check_interval": 1.0,
            "callback_metrics": {} if score is None else {"val/elbo": torch.tensor(score)}, "default_root_dir": str(folder),
            "save_checkpoint": lambda path: Path(path).touch(), "fast_dev_run": False, "current_epoch": 1, "world_size": 1,
            "strategy": SimpleNamespace(reduce_boolean_decision=lambda stop, all: stop),
            "state": SimpleNamespace(fn=TrainerFn.FITTING),
            **changed,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    ("batch_idx", "changed", "safe"),
    [
        (10, {}, True),
        (19, {}, False),  # the epoch's end comes next
        (10, {"batch_progress": SimpleNamespace(is_last_batch=True)}, False),
        (10, {"accumulate_grad_batches": 3}, False),  # gradients of two batches are waiting
        (11, {"accumulate_grad_batches": 3}, True),
        (10, {"should_stop": True}, False),
        (10, {"max_steps": 31}, False),
        (10, {"max_steps": 32}, True),
        (9, {"val_check_batch": 5}, False),  # a validation comes next
        (10, {"val_check_batch": 5}, True),
        (10, {"val_check_batch": None}, True),
        (10, {"val_check_batch": 31, "check_val_every_n_epoch": None}, False),  # counted over epochs
        (10, {"val_check_batch": 11, "check_val_every_n_epoch": None}, True),
    ],
)
def test_checkpoints_are_written_where_a_run_can_be_resumed(batch_idx: int, changed: dict[str, Any], safe: bool) -> None:
    assert between_steps(trainer(**changed), batch_idx) is safe


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_resumed_run_knows_its_best_score(mode: str, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    best, module = tmp_path / "checkpoints" / "best.ckpt", SimpleNamespace()
    sign = 1 if mode == "max" else -1

    def validated(callback: BestCheckpoint, score: float) -> bool:
        best.unlink(missing_ok=True)
        callback.on_validation_end(trainer(sign * score, tmp_path), module)  # type: ignore[arg-type]
        assert not best.exists(), "before the end of the epoch it cannot be resumed"
        callback.on_train_epoch_end(trainer(sign * score, tmp_path), module)  # type: ignore[arg-type]
        return best.exists()

    before, after = BestCheckpoint(mode=mode), BestCheckpoint(mode=mode)
    assert [validated(before, score) for score in (float("nan"), -5.0, -3.0, -4.0, float("inf"))] == [
        False,
        True,
        True,
        False,
        False,
    ]
    after.load_state_dict(before.state_dict())
    assert [validated(after, score) for score in (-4.0, -3.0, -2.0)] == [False, False, True]


def test_a_resumed_run_knows_how_long_it_has_waited() -> None:
    def stops(callback: EarlyStopping, score: float) -> bool:
        at = trainer(score)
        callback.setup(at, SimpleNamespace(), "fit")  # type: ignore[arg-type]
        callback.on_validation_end(at, SimpleNamespace())  # type: ignore[arg-type]
        callback.on_train_epoch_end(at, SimpleNamespace())  # type: ignore[arg-type]
        return at.should_stop

    def resumed(callback: EarlyStopping, patience: int = 2) -> EarlyStopping:
        after = EarlyStopping("val/elbo", mode="max", patience=patience, verbose=False)
        after.load_state_dict(callback.state_dict())
        return after

    before = EarlyStopping("val/elbo", mode="max", patience=2, verbose=False)
    assert [stops(before, score) for score in (-5.0, -3.0, -4.0)] == [False, False, False]
    assert stops(resumed(before), -3.5), "no better than -3 a second time"
    assert not stops(resumed(before), -2.5)
    assert not stops(resumed(before, patience=3), -3.5)
    callback, asked_by_another = resumed(before), trainer(-1.0, should_stop=True)
    callback.setup(asked_by_another, SimpleNamespace(), "fit")  # type: ignore[arg-type]
    callback.on_train_epoch_end(asked_by_another, SimpleNamespace())  # type: ignore[arg-type]
    assert (asked_by_another.should_stop, callback.stopped) == (True, False)
    ended = resumed(before)
    assert stops(ended, -3.5)
    again, more = trainer(), trainer()
    resumed(ended).on_train_start(again, SimpleNamespace())  # type: ignore[arg-type]
    resumed(ended, patience=9).on_train_start(more, SimpleNamespace())  # type: ignore[arg-type]
    assert (again.should_stop, more.should_stop) == (True, False)
