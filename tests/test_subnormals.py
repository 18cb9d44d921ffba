from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.pool_probe import whole_pool_flushes
from tests.running import REPOSITORY, SHORT, run_interpreter, run_script
from vae_lightning.subnormals import flush_subnormals, flushes_subnormals

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor has no such setting")


def test_subnormals_are_zero_in_the_block_alone() -> None:
    smallest = torch.tensor([2.0**-126])
    assert not flushes_subnormals()
    with flush_subnormals():
        assert flushes_subnormals()
        assert (smallest * 1).item() == 2.0**-126
        with flush_subnormals():
            pass
        assert flushes_subnormals()
    assert not flushes_subnormals()
    assert (smallest / 4).view(torch.int32).item() == 2**21


def test_what_raises_restores_the_setting() -> None:
    with pytest.raises(KeyError), flush_subnormals():
        raise KeyError
    assert not flushes_subnormals()


def test_importing_sets_nothing() -> None:
    code = "import vae_lightning.training.fit; from vae_lightning.subnormals import *; assert not flushes_subnormals()"
    outcome = run_interpreter(["-c", code], REPOSITORY, {})
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(("trainer", "ranks"), [((), 1), (("trainer=ddp", "trainer.strategy=ddp_spawn"), 2)])
def test_all_threads_of_each_process_of_a_run_flush(tmp_path: Path, trainer: tuple[str, ...], ranks: int) -> None:
    probe = "+callbacks.probe._target_=tests.pool_probe.PoolProbe"
    outcome = run_script(
        "train.py", [*SHORT, *trainer, "trainer.limit_train_batches=1", probe], tmp_path, PYTHONPATH=str(REPOSITORY)
    )
    assert outcome.status == 0, outcome.err
    for rank in range(ranks):
        assert f"process {rank} flushes: True" in outcome.out
    assert "flushes: False" not in outcome.out


def test_evaluating_flushes(monkeypatch: pytest.MonkeyPatch) -> None:
    from vae_lightning.api import evaluate

    def check(*_: object) -> None:
        raise KeyError(flushes_subnormals())

    monkeypatch.setattr(evaluate, "check_settings", check)
    with pytest.raises(KeyError, match="True"):
        evaluate.measure(None, None, [])  # type: ignore[arg-type]


def test_the_probe_sees_a_thread_that_does_not_flush() -> None:
    assert not whole_pool_flushes()
