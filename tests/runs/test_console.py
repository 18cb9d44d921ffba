"""What a run prints about its composition before training."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf
from torch import nn

from vae_lightning.config.builtin import conf_dir
from vae_lightning.runs.console import RunLog, describe_composition


def printed(*overrides: str) -> dict[str, str]:
    """The lines of the composition by axis."""
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = compose("train", list(overrides), return_hydra_config=True)
    choices = {key: value for key, value in config.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    whole: Any = OmegaConf.to_container(config, resolve=False)
    del whole["hydra"]
    whole |= {"name": "a run", "choices": choices}
    config = DictConfig(OmegaConf.to_container(DictConfig(whole), resolve=True))
    vae: Any = SimpleNamespace(
        encoder=nn.Linear(1, 1), decoder=nn.Linear(1, 1), parameters=list, shape=(1, 2, 3), latent_dim=2, code_shape=(2,)
    )
    lines = describe_composition(config, vae, {}).replace("[bold]", "").replace("[/bold]", "").splitlines()
    assert lines[0] == "a run"
    return {line.split()[0]: line.partition("  ")[2].strip() for line in lines[1:]}


def test_a_zero_is_a_value_like_any_other() -> None:
    lines = printed("beta=0", "beta_schedule=linear", "optimizer.lr=0")
    assert lines["beta_schedule"].split() == ["linear", "value=0", "start=0.0", "warmup=0.25", "unit=fraction"]
    assert "lr=0 " in lines["optimizer"]


def test_of_the_trainer_the_length_and_what_differs_from_auto_are_printed() -> None:
    assert printed()["trainer"].split() == ["auto", "max_epochs=50", "log_every_n_steps=50"]
    changed = ("max_epochs=1", "max_steps=1", "limit_val_batches=0", "gradient_clip_val=1", "deterministic=true")
    told = printed("trainer=ddp", *(f"trainer.{one}" for one in changed), "trainer.enable_progress_bar=false")["trainer"].split()
    assert set(told) == {"ddp", "strategy=ddp", "devices=2", *changed, "log_every_n_steps=50", "enable_progress_bar=false"}


def test_parts_within_an_option_are_printed_with_their_numbers() -> None:
    lines = printed("objective=capacity", "beta_schedule=control", "beta_schedule.target.value=7")
    assert "kl=capacity(gamma=1000.0 capacity=Linear(value=25.0 start=0.0 warmup=0.25 unit=fraction))" in lines["objective"]
    assert "target=Constant(value=7)" in lines["beta_schedule"]


def test_what_is_said_holds_no_control_characters(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = RunLog()
    report.keep(tmp_path)
    report.say("a\x1b[2J\udcff\nb")
    report.close()
    assert capsys.readouterr().out == (tmp_path / "run.log").read_text() == "a\\x1b[2J\\udcff\nb\n"
