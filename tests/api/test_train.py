"""`vl.train`: the same run as the command's, errors raised, and a process that is left as it was."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.version import VersionBase
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import OmegaConf

import vae_lightning as vl
from tests.api.conftest import TINY
from tests.running import Runner, run_script
from vae_lightning.api.resumed_run import RUN_FOLDER
from vae_lightning.sweeps.sweeper import Terminated
from vae_lightning.training import fit as fitting


def without_times(results: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in results.items() if key not in ("seconds", "images_per_second")}


def test_a_run_is_the_one_that_the_command_makes(folder: Path, runner: Runner) -> None:
    by_command = runner.trained("data=mnist5k", *TINY)
    run = vl.train(*TINY, data="mnist5k")
    other = vl.Run(by_command, run.config, by_command / "checkpoints" / "best.ckpt")
    assert without_times(run.results) == without_times(other.results)
    assert sorted(p.name for p in run.folder.iterdir()) == sorted(p.name for p in by_command.iterdir())
    assert run.folder.parent == by_command.parent
    assert "elbo" in (run.folder / "run.log").read_text()
    kept, theirs = ({**OmegaConf.load(path / "config.yaml")} for path in (run.folder, by_command))
    for key in ("overrides", "started"):
        kept.pop(key), theirs.pop(key)
    assert kept == theirs
    assert run.config.overrides == [*TINY, "data=mnist5k"]


def test_a_run_has_its_vae_its_pictures_and_its_results(run: vl.Run) -> None:
    assert set(run.results) >= {"val", "test", "steps"}
    assert run.vae.sample(4).shape == (4, 1, 28, 28)
    assert run.vae is run.vae
    assert run.config.latent_dim == 2


def test_a_wrong_setting_is_raised_and_leaves_nothing_behind(folder: Path) -> None:
    for overrides, message in {
        ("model=cnn",): "model=cnn: unknown option. Allowed: conv",
        ("beta=-1",): "beta=-1: must be a finite number of at least 0",
        ("objective=iwae", "beta=4"): "would have no effect",
        ("--cfg", "job"): "--cfg: vl.train takes overrides only; leave it out",
        ("-m", "beta=1,2"): "use vl.sweep",
        ("beta=1,2",): "lists several values",
        ("sweep=optuna",): "sweep=optuna trains several runs: use vl.sweep",
        ("hydra.verbose=true",): "hydra.verbose=true would have no effect",
        ("resume=nowhere",): "resume=nowhere: no such file or folder",
        ("run",): "cannot be read as an override",
        ("data.val_size=4999",): "less than",
    }.items():
        with pytest.raises(vl.UserError) as error:
            vl.train(*overrides)
        assert message in str(error.value), overrides
    with pytest.raises(vl.UserError, match="text such as 'beta=4'"):
        vl.train(4)  # type: ignore[arg-type]
    assert list(folder.iterdir()) == []


def test_an_error_of_a_library_is_raised_as_the_sentence_of_the_command(folder: Path) -> None:
    with pytest.raises(vl.UserError, match="trainer: ") as error:
        vl.train(*TINY, "trainer.accelerator=none_such")
    assert "\n" not in str(error.value)
    with pytest.raises(vl.RunError, match="NaN or infinity"):
        vl.train(*TINY, "optimizer.lr=1e30")


def test_resume_continues_the_run_in_its_folder(folder: Path) -> None:
    run = vl.train(*TINY, "lr_schedule=none")
    longer = vl.train(f"resume={run.folder}", "trainer.max_epochs=2")
    whole = vl.train(*TINY, "lr_schedule=none", "trainer.max_epochs=2")
    assert longer.folder == run.folder
    assert longer.results["steps"] == 6
    assert longer.results["test"] == whole.results["test"]
    again = vl.train(f"resume={run.folder}")  # finished
    assert again.results == longer.results


def test_a_dry_run_has_no_folder(folder: Path) -> None:
    run = vl.train(*TINY, "debug=fast_dev_run")
    assert run.results == {}
    assert list(folder.iterdir()) == []
    with pytest.raises(vl.UserError, match="has no checkpoint to load the VAE from"):
        _ = run.vae


class Seen(Callback):
    """The user's own callback, which ends training as the test says."""

    action: Any = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        action, Seen.action = Seen.action, None
        if action is not None:
            action()


SEEN = "+callbacks.seen._target_=tests.api.test_train.Seen"


@pytest.fixture
def _no_action() -> Iterator[None]:
    yield
    Seen.action = None


@pytest.mark.usefixtures("folder", "_no_action")
def test_ctrl_c_is_raised_after_a_checkpoint() -> None:
    before = signal.getsignal(signal.SIGINT)
    Seen.action = lambda: os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        vl.train(*TINY, SEEN)
    assert signal.getsignal(signal.SIGINT) is before
    (checkpoint,) = Path("outputs").glob("*/*/checkpoints/last.ckpt")
    assert vl.train(f"resume={checkpoint.parents[1]}", "trust_run_code=true").results["steps"] == 3


@pytest.mark.usefixtures("folder", "_no_action")
def test_sigterm_is_sent_again_after_a_checkpoint() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda signum, frame: received.append(signum))
    try:
        Seen.action = lambda: os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(vl.RunError, match="stopped by SIGTERM"):
            vl.train(*TINY, SEEN)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]
    assert list(Path("outputs").glob("*/*/checkpoints/last.ckpt"))


@pytest.mark.usefixtures("folder", "_no_action")
def test_a_run_can_be_trained_within_a_run_and_within_a_thread() -> None:
    inner: list[vl.Run] = []

    def train() -> None:
        inner.append(vl.train(*TINY))

    Seen.action = train
    outer = vl.train(*TINY, SEEN)
    threads = [threading.Thread(target=train) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({run.folder for run in [outer, *inner]}) == 4
    assert {run.results["test"]["elbo"] for run in inner} == {outer.results["test"]["elbo"]}


def process_state() -> dict[str, Any]:
    """What a call must leave as it was."""
    names = ("", "py.warnings", "lightning.pytorch", "lightning.fabric", "vae_lightning", "hydra")
    numpy_state: Any = np.random.get_state()  # noqa: NPY002
    return {
        "environment": dict(os.environ),
        "argv": list(sys.argv),
        "path": list(sys.path),
        "folder": os.getcwd(),
        "logging": {name: (list((log := logging.getLogger(name)).handlers), log.level, log.disabled) for name in names},
        "warnings": (warnings.showwarning, list(warnings.filters)),
        "hooks": (sys.excepthook, threading.excepthook, sys.stdout, sys.stderr),
        "signals": {signum: signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)},
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": numpy_state[1].tolist(),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn": (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic),
        "hydra": (GlobalHydra.instance().hydra, HydraConfig.instance().cfg, VersionBase.instance().version_base),
        "python threads": {thread.name for thread in threading.enumerate()},
    }


def test_the_process_is_left_as_it_was(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = vl.train(*TINY)  # what is imported first sets some of it
    monkeypatch.setenv(RUN_FOLDER, str(folder / "of_another_run"))
    before = process_state()

    def unchanged() -> None:
        now = process_state()
        assert {name: value for name, value in now.items() if value != before[name]} == {}

    run = vl.train(*TINY, "trainer.deterministic=true")
    unchanged()
    vl.train(f"resume={run.folder}", "trainer.max_epochs=2")
    unchanged()
    vl.evaluate(run, "nll.samples=4", "nll.images=20", measures=["nll"])
    unchanged()
    vl.compose("model=conv")
    unchanged()
    vl.sweep(*TINY, "beta=1,2", "hydra.sweeper.report=false")
    unchanged()
    with pytest.raises(vl.UserError):
        vl.train("beta=-1")
    unchanged()
    monkeypatch.setattr(fitting, "finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # a bug of the program keeps its type
        vl.train(*TINY)
    unchanged()


@pytest.mark.filterwarnings("ignore::hydra.errors.Hydra14MigrationWarning")
def test_hydra_stays_as_the_user_has_initialised_it(folder: Path) -> None:
    (folder / "conf").mkdir()
    (folder / "conf" / "mine.yaml").write_text("a: 1\n")
    with initialize_config_dir(str(folder / "conf"), version_base="1.1"):
        version = VersionBase.instance().version_base
        vl.compose("model=conv")
        vl.train(*TINY)
        vl.sweep(*TINY, "beta=1,2", "hydra.sweeper.report=false")
        assert hydra_compose("mine") == {"a": 1}
        assert VersionBase.instance().version_base == version


def test_a_logging_configuration_of_the_user_is_kept(folder: Path) -> None:
    log = logging.getLogger("of_the_user")
    handler = logging.FileHandler(folder / "mine.log", mode="w")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        ours = warnings.showwarning
        vl.train(*TINY)
        assert warnings.showwarning is ours
        log.warning("still here")
    finally:
        logging.captureWarnings(False)
        log.removeHandler(handler)
        handler.close()
    assert "still here" in (folder / "mine.log").read_text()


@pytest.mark.parametrize("guarded", [False, True])
def test_a_script_may_call_it_twice(folder: Path, guarded: bool) -> None:
    body = f"""
    for seed in (0, 1):
        run = vl.train(*{TINY!r}, f"seed={{seed}}")
        print("elbo", run.results["test"]["elbo"])
"""
    head = "import vae_lightning as vl\n" + ('if __name__ == "__main__":' if guarded else "if True:")
    (folder / "mine.py").write_text(head + body)
    outcome = run_script(
        str(folder / "mine.py"), ["--an-option-of-the-script"], folder, PYTHONPATH=str(Path(vl.__file__).parents[1])
    )
    assert outcome.status == 0, outcome.err
    assert outcome.out.count("elbo -") == 2
    assert len(list(folder.glob("outputs/*/*/results.json"))) == 2


def test_terminated_sweeps_end_as_an_interruption() -> None:
    assert issubclass(Terminated, KeyboardInterrupt)


def test_ddp_does_not_run_the_script_again(folder: Path) -> None:
    config = OmegaConf.create({"trainer": {"strategy": "ddp", "num_nodes": 1}})
    from vae_lightning.api.train import prepare_strategy

    prepare_strategy(config)
    assert config.trainer.strategy == ("ddp_spawn" if torch.cuda.is_available() else "ddp_fork")
    config = OmegaConf.create({"trainer": {"strategy": "ddp", "num_nodes": 2}})
    with pytest.raises(vl.UserError, match="several machines"):
        prepare_strategy(config)
