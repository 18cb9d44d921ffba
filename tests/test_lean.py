"""What is left out of a training step is left out for its time alone, and nothing that does something is."""

from __future__ import annotations

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from vae_lightning.lean import STEP_HOOKS, lean_steps


class Counting(Callback):
    """Overrides one hook of a step."""

    def __init__(self) -> None:
        self.steps = 0

    def on_train_batch_end(self, *_: object) -> None:
        self.steps += 1


class Tiny(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.before = 0

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        return self.layer(batch).sum()

    def on_before_zero_grad(self, optimizer: object) -> None:
        self.before += 1

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.fixture
def trained() -> tuple[Trainer, Tiny, Counting]:
    counting = Counting()
    settings = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return Trainer(max_epochs=1, accelerator="cpu", callbacks=[counting], **settings), Tiny(), counting  # type: ignore[arg-type]


def test_hooks_that_somebody_overrides_are_called(trained: tuple[Trainer, Tiny, Counting]) -> None:
    trainer, module, counting = trained
    with lean_steps(trainer, module):
        assert counting.on_train_batch_start is None
        assert module.on_train_batch_end is None
        trainer.fit(module, DataLoader(torch.ones(6, 1), batch_size=2))
    assert (counting.steps, module.before) == (3, 3)


def test_all_is_as_before_afterwards_even_after_an_error(trained: tuple[Trainer, Tiny, Counting]) -> None:
    trainer, module, counting = trained
    with pytest.raises(RuntimeError, match="stop"), lean_steps(trainer, module):
        raise RuntimeError("stop")
    assert all(callable(getattr(owner, hook)) for owner in (module, counting) for hook in STEP_HOOKS)
