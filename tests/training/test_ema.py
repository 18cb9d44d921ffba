"""`callbacks/ema=default`: averages of the weights, in training, checkpoints, resumes and everything that reads a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from tests.running import SHORT, Runner, train_once
from vae_lightning import load
from vae_lightning.errors import UserError
from vae_lightning.models import VAE
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.training.callbacks import EMA
from vae_lightning.training.callbacks.ema import run_weights
from vae_lightning.training.module import VAEModule

AVERAGED = (*SHORT, "callbacks/ema=default", "logger=none", "trainer.limit_train_batches=6")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_once(tmp_path_factory.mktemp("trained"), *AVERAGED, "trainer.max_epochs=1", "lr_schedule=none")


def module() -> VAEModule:
    torch.manual_seed(0)
    return VAEModule(VAE(MLP([8]), Diagonal(2), StandardNormal(2), Bernoulli((1, 4, 4))))


def weights(module: VAEModule) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.vae.state_dict().items()}


class Watch(EMA):
    """Notes the trained weights after each step and those that validation sees."""

    def on_fit_start(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]
        super().on_fit_start(trainer, pl_module)
        self.seen, self.validated = [weights(pl_module)], list[dict[str, Tensor]]()

    def on_train_batch_end(self, trainer: Trainer, pl_module: VAEModule, *more: Any) -> None:  # type: ignore[override]
        super().on_train_batch_end(trainer, pl_module, *more)
        self.seen.append(weights(pl_module))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: VAEModule) -> None:  # type: ignore[override]
        self.validated.append(weights(pl_module))
        super().on_validation_epoch_end(trainer, pl_module)


def fitted(callback: EMA, tmp_path: Path, **more: Any) -> VAEModule:
    images, made = torch.rand(24, 1, 4, 4, generator=torch.Generator().manual_seed(0)).round(), module()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", default_root_dir=tmp_path, callbacks=[callback], **{"max_epochs": 2, **quiet, **more})
    trainer.fit(made, DataLoader(images, batch_size=8), DataLoader(images, batch_size=8))  # type: ignore[arg-type]
    return made


def test_the_average_is_that_of_its_formula(tmp_path: Path) -> None:
    callback = Watch(decay=0.3)
    made = fitted(callback, tmp_path)
    expected = callback.seen[0]
    for n, trained in enumerate(callback.seen[1:], 1):
        d = min(0.3, (1 + n) / (10 + n))
        expected = {name: d * expected[name] + (1 - d) * trained[name] for name in expected}
        if n == 3:
            torch.testing.assert_close(callback.validated[1], expected)  # 0 is the sanity check, before any step
    torch.testing.assert_close(weights(made), expected)  # what training leaves behind
    assert len(callback.seen) == 7


def test_constant_weights_stay_as_they_are() -> None:
    callback, tensors = EMA(), {"a": torch.randn(50), "b": torch.tensor(3), "c": torch.tensor(1e-30)}
    callback.average = {name: value.clone() for name, value in tensors.items()}
    for callback.step in range(1, 300):
        callback.update(tensors)
    assert all(torch.equal(callback.average[name], value) for name, value in tensors.items())


def test_a_swap_before_any_update_does_not_bring_back_other_weights(tmp_path: Path) -> None:
    """Of Lightning's callback: until the first update, validation sees the weights from before they were loaded."""
    callback = Watch()
    fitted(callback, tmp_path)
    torch.testing.assert_close(callback.validated[0], callback.seen[0], atol=0, rtol=0)
    made, unused = module(), EMA()
    before = weights(made)
    unused.swap(made)
    torch.testing.assert_close(weights(made), before, atol=0, rtol=0)


def test_validation_gives_back_the_weights_that_are_trained(tmp_path: Path) -> None:
    callback, made = EMA(), module()
    callback.average = {name: torch.zeros_like(value) for name, value in made.vae.state_dict().items()}
    before = weights(made)
    trainer = Trainer(
        logger=False, enable_checkpointing=False, accelerator="cpu", callbacks=[callback], default_root_dir=tmp_path
    )
    with run_weights(trainer, made):
        assert all(not value.any() for value in made.vae.state_dict().values())
    torch.testing.assert_close(weights(made), before, atol=0, rtol=0)
    assert all(not value.any() for value in callback.average.values())


def test_an_accumulated_step_counts_once(tmp_path: Path) -> None:
    callback = Watch(decay=0.3)
    fitted(callback, tmp_path, accumulate_grad_batches=3)
    assert callback.step == 2


def test_a_resume_in_the_middle_of_an_epoch_is_exact(runner: Runner) -> None:
    """Of Lightning's callback: what training goes on from must be the trained weights, not their average."""
    arguments = (*AVERAGED, "lr_schedule=none", "callbacks.last.every_n_steps=4")
    whole = runner.trained(*arguments)
    part = Path(shutil.copytree(whole, runner.cwd / "copy"))
    outcome = runner("train", f"resume={part}/checkpoints/previous.ckpt")
    assert "at step 10, in epoch 2" in outcome.out, outcome.err
    one, other = (torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (whole, part))
    states = [(content["state_dict"], content["callbacks"]["ema"]["trained"]) for content in (one, other)]
    for first, second in zip(*states, strict=True):
        assert all(torch.equal(first[name], second[name]) for name in first)
    assert one["callbacks"]["ema"]["step"] == other["callbacks"]["ema"]["step"] == 12


def test_a_checkpoint_holds_both_and_commands_read_the_average(runner: Runner) -> None:
    run = runner.trained(*AVERAGED)
    content = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)
    name = "encoder.1.weight"
    average, trained = content["state_dict"][f"vae.{name}"], content["callbacks"]["ema"]["trained"][name]
    assert not torch.equal(average, trained)
    assert torch.equal(load(run).state_dict()[name], average)
    elbo = yaml.safe_load((run / "results.json").read_text())["val"]["elbo"]
    rows = (run / "metrics.csv").read_text().splitlines()
    assert any(f"{elbo:.6f}"[:9] in row for row in rows if row.startswith("val,")), "what is validated is what is saved"
    assert runner("evaluate", f"run={run}", "measures=[]").status == 0


def test_a_run_says_so_in_its_first_lines(runner: Runner) -> None:
    outcome = runner("train", *AVERAGED, "trainer.fast_dev_run=true")
    assert "weights        an exponential moving average of those that are trained, decay 0.999\n" in outcome.out
    assert "moving average" not in runner("train", *SHORT, "trainer.fast_dev_run=true").out


def test_it_is_kept_on_a_resume_with_other_callbacks(runner: Runner) -> None:
    run = runner.trained(*AVERAGED, "trainer.max_epochs=1", "lr_schedule=none", "callbacks.ema.decay=0.9")
    outcome = runner("train", f"resume={run}", "callbacks=default", "trainer.max_epochs=2")
    assert outcome.status == 0, outcome.err
    assert yaml.safe_load((run / "config.yaml").read_text())["callbacks"]["ema"]["decay"] == 0.9
    outcome = runner("train", f"resume={run}", "callbacks/ema=none", "trainer.max_epochs=3")
    assert (outcome.status, "callbacks/ema" in outcome.err) == (2, True)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(trained={}),
        lambda state: state.update(step="x"),
        lambda state: state.update(trained={name: value * float("nan") for name, value in state["trained"].items()}),
        lambda state: state.update(trained={name: value.flatten()[:1] for name, value in state["trained"].items()}),
        lambda state: state.update(trained=[1]),
        lambda state: state.pop("step"),
    ],
)
def test_a_changed_state_is_refused(runner: Runner, trained: Path, change: Any) -> None:
    run = Path(shutil.copytree(trained, runner.cwd / "copy"))
    path = run / "checkpoints" / "last.ckpt"
    content = torch.load(path, weights_only=True)
    change(content["callbacks"]["ema"])
    torch.save(content, path)
    outcome = runner("train", f"resume={run}", "trainer.max_epochs=2")
    assert outcome.status == 1, outcome
    assert "last.ckpt" in outcome.err


def test_wrong_settings(runner: Runner) -> None:
    outcome = runner("train", *SHORT, "callbacks/ema=default", "callbacks.ema.decay=1")
    assert outcome.status == 2
    assert outcome.err.startswith("error: callbacks.ema.decay=1: must be"), outcome.err
    with pytest.raises(UserError, match="decay"):
        EMA(decay=-0.1)
