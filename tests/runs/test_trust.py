"""What a run from someone else may do, in addition to `tests/hostile`: what is ignored in it, and the message about that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from tests.running import SHORT, Runner
from vae_lightning.errors import UserError
from vae_lightning.runs.config_file import is_own_run, read_config
from vae_lightning.runs.trust import check_folder, restrict

PROFILER = {"_target_": "lightning.pytorch.profilers.SimpleProfiler", "dirpath": None, "filename": "p", "extended": True}


@pytest.fixture
def run(runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "mine"))
    return runner.trained(*SHORT, "trainer.max_epochs=1", "debug=profile", "trainer.max_epochs=1", "logger=csv")


def test_a_run_is_ones_own_and_stays_so_when_it_is_resumed(runner: Runner, run: Path) -> None:
    assert is_own_run(run)
    outcome = runner("train", f"resume={run}", "trainer.max_epochs=2")
    assert outcome.status == 0, outcome.err
    assert "not signed" not in outcome.out
    assert is_own_run(run)
    assert read_config(run / "config.yaml").trainer.profiler.filename == "profile"


def test_a_foreign_run_says_what_is_left_out_and_stays_foreign(
    runner: Runner, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "theirs"))
    assert not is_own_run(run)
    outcome = runner("train", f"resume={run}", "trainer.max_epochs=2")
    assert outcome.status == 0, outcome.err
    assert "so its trainer.profiler is ignored" in outcome.out
    assert not is_own_run(run)
    outcome = runner("train", f"resume={run}", "trainer.max_epochs=3", "trainer.profiler=simple")
    assert outcome.status == 0, outcome.err
    assert "is ignored" not in outcome.out, "what is typed counts"


def test_what_is_trusted_is_taken_as_it_stands(
    runner: Runner, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "theirs"))
    outcome = runner("train", f"resume={run}", "trainer.max_epochs=2", "trust_run_code=true")
    assert outcome.status == 0, outcome.err
    assert "is ignored" not in outcome.out
    assert read_config(run / "config.yaml").trainer.profiler.filename == "profile"
    assert not is_own_run(run), "trusting a run does not make it one's own"


@pytest.mark.parametrize(
    ("place", "value", "left_out"),
    [
        ("trainer.profiler", PROFILER, ["trainer.profiler"]),
        ("trainer.default_root_dir", "/somewhere", ["trainer.default_root_dir"]),
        ("trainer.num_nodes", 2, ["trainer.num_nodes"]),
        ("trainer.strategy", "deepspeed", ["trainer.strategy"]),
        ("trainer.strategy", "ddp_find_unused_parameters_true", []),
        ("logger", {"wandb": {"_target_": "lightning.pytorch.loggers.WandbLogger"}}, ["logger.wandb"]),
        ("logger", {"a": {"_target_": "lightning.pytorch.loggers.CSVLogger", "name": "../x"}}, ["logger.a.name"]),
        ("logger", {"a": {"_target_": "lightning.pytorch.loggers.CSVLogger", "name": "", "version": "csv"}}, []),
        ("logger", {}, []),
        ("data.download", True, ["data.download"]),
        ("data.download", False, []),
    ],
)
def test_what_is_left_out(run: Path, place: str, value: Any, left_out: list[str]) -> None:
    content = yaml.safe_load((run / "config.yaml").read_text())
    content["trainer"]["profiler"] = None
    config: Any = OmegaConf.create(content)
    OmegaConf.update(config, place, value, merge=False, force_add=True)
    safe, found = restrict(config)
    assert found == left_out
    assert OmegaConf.select(config, place) == value, "the given one is left as it was"
    assert restrict(safe)[1] == []


def test_recorded_overrides_do_not_bring_it_back(run: Path) -> None:
    """Choosing a group again keeps the run's own keys of it, which in a foreign run would be a stranger's."""
    config = read_config(run / "config.yaml")
    config.overrides = ["beta=4", "logger.mlflow.tracking_uri=http://127.0.0.1", "+trainer.default_root_dir=/x", "seed=1"]
    assert list(restrict(config)[0].overrides) == ["beta=4", "seed=1"]


def test_folders_that_lead_nowhere_else_pass(tmp_path: Path) -> None:
    (tmp_path / "run" / "figures").mkdir(parents=True)
    (tmp_path / "run" / "a").write_text("x")
    (tmp_path / "run" / "inner").symlink_to("figures")
    (tmp_path / "latest").symlink_to(tmp_path / "run")
    check_folder(tmp_path / "run")
    check_folder(tmp_path / "latest")
    (tmp_path / "run" / "figures" / "up").symlink_to("../..")
    with pytest.raises(UserError, match=r"figures/up is a link to outside the run folder"):
        check_folder(tmp_path / "latest")
