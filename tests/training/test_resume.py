"""A run that is killed and resumed ends bit for bit like one that was not interrupted."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger
from omegaconf import OmegaConf

from tests.chaos import compare, faults, forks
from tests.chaos.faults import SHORT, at_call, at_step, in_validation, kill_self
from vae_lightning.api import new_run, resumed_run
from vae_lightning.data.sampler import OrderedBatches, ShuffledBatches
from vae_lightning.errors import RunError, UserError
from vae_lightning.runs.folder import create_folder
from vae_lightning.training import checkpoint_state
from vae_lightning.training.checkpoint_state import Resumed, cuda_note, random_states, restore_random_states
from vae_lightning.training.data_position import Position
from vae_lightning.training.finish import log_results, score
from vae_lightning.training.resume import ResumePoint, already_finished, find_resume_point, roll_back_to_checkpoint

EVERYTHING = (
    "beta=4", "beta_schedule=cyclical", "lr_schedule=multistep", "data.num_workers=1", "trainer.precision=bf16-mixed",
    "callbacks.best.mode=min",  # the first checkpoint is the best, which a resumed run must remember
)  # fmt: skip
EARLY = (
    "callbacks=early_stopping", "callbacks.early_stopping.patience=1", "callbacks.early_stopping.min_delta=15",
    "trainer.max_epochs=20", "trainer.limit_train_batches=20", "callbacks.last.every_n_minutes=0.002",
)  # fmt: skip


def kill_half_way(*_: Any) -> None:
    """Kills the run when a checkpoint is written but not yet renamed."""
    kill_self()()


def alone(folder: Path, *overrides: str) -> Path:
    """A copy of a run that was not interrupted."""
    return Path(shutil.copytree(forks.left_alone(*SHORT, *overrides), folder / "outputs" / "alone"))


def killed(folder: Path, *overrides: str, at: tuple[int | faults.Plant, ...]) -> Path:
    """A run that is killed at each of these steps (or at the call that an entry plants), resumed each time, and then finished."""
    folder.mkdir()
    arguments: tuple[str, ...] = (*SHORT, *overrides)
    for kill in at:
        status, out = forks.run(folder, *arguments, plant=at_step(kill, kill_self()) if isinstance(kill, int) else kill)
        assert status == 137, out
        arguments = (f"resume={forks.only_run(folder)}",)
    status, out = forks.run(folder, *arguments)
    assert status == 0, out
    return forks.only_run(folder)


@pytest.mark.parametrize(
    ("overrides", "at"),
    [
        # within the first epoch, at the first and the last batch of an epoch, and just after a resume
        (EVERYTHING, (8, 13, 17)),
        (
            ("trainer.accumulate_grad_batches=3", "trainer.max_steps=17", "trainer.val_check_interval=0.5"),
            (31, in_validation(2, kill_self()), at_call("vae_lightning.training.checkpoint_io", "link_or_copy", kill_half_way)),
        ),
    ],
    ids=["cyclical, milestones, worker, bf16", "accumulation, max_steps, validation in mid-epoch"],
)
def test_a_killed_run_ends_where_the_one_left_alone_does(tmp_path: Path, overrides: tuple[str, ...], at: tuple[Any, ...]) -> None:
    left, resumed = forks.left_alone(*SHORT, *overrides), killed(tmp_path / "b", *overrides, at=at)
    assert compare.differences(left, resumed) == []
    history = yaml.safe_load((resumed / "config.yaml").read_text())["resumes"]
    assert len(history) == len(at)
    if "trainer.val_check_interval=0.5" in overrides:
        with pytest.raises(UserError, match=r"best\.ckpt was written during a validation; use resume="):
            find_resume_point(str(left / "checkpoints" / "best.ckpt"), [])


def test_the_final_metrics_are_those_of_the_best_checkpoint() -> None:
    run = forks.left_alone(*SHORT, *EVERYTHING)  # its first checkpoint is the best
    rows = [line.split(",") for line in (run / "metrics.csv").read_text().splitlines()]
    validated = [float(row[rows[0].index("elbo")]) for row in rows if row[0] == "val"]
    final = json.loads((run / "results.json").read_text())
    assert final["checkpoint"] == "checkpoints/best.ckpt"
    # validation in bf16
    assert validated[0] + 10 < validated[-1]
    assert final["val"]["elbo"] == pytest.approx(validated[0], abs=2)
    assert (score({"elbo": -5.0, "reconstruction": 4.0}), score({"reconstruction": 4.0})) == (-5.0, -4.0)


def test_the_final_metrics_are_in_the_files_of_any_logger(tmp_path: Path) -> None:
    logger = CSVLogger(tmp_path, name="", version="csv")  # it writes its rows when it is finalized
    log_results(SimpleNamespace(loggers=[logger]), {"elbo": -5.0}, 3)  # type: ignore[arg-type]
    assert (tmp_path / "csv" / "metrics.csv").read_text().split() == ["step,test/elbo", "3,-5.0"]


def test_a_run_killed_while_it_writes_its_final_metrics_writes_them_once(tmp_path: Path) -> None:
    """results.json is written last: before that, the run is resumed, and the end of its TensorBoard logs is written again."""
    short = ("trainer.max_epochs=1", "trainer.limit_train_batches=4", "trainer.precision=bf16-mixed")
    kill, closing = kill_self(), "vae_lightning.training.finish"

    def kill_with_what_was_logged(logger: Any, *_: Any) -> None:
        logger.save()
        kill()

    at = (
        at_call(closing, "log_results", lambda *_: kill()),
        at_call(
            "vae_lightning.training.loggers:TensorBoard", "log_results", kill_with_what_was_logged
        ),  # test/…, and not yet hp/…
        at_call(closing, "write_results", lambda *_: kill()),
        at_call("vae_lightning.runs.results", "write_json", lambda *_: kill(), after=True),  # renamed
    )
    left, resumed = forks.left_alone(*SHORT, *short), killed(tmp_path / "b", *short, at=at)
    assert compare.differences(left, resumed) == []
    final = [scalar for scalar in compare.tensorboard(left) if scalar[1].startswith(("test/", "hp/"))]
    assert {"test/elbo", "hp/elbo"} <= {tag for _, tag, _, _ in final}
    history = yaml.safe_load((resumed / "config.yaml").read_text())["resumes"]
    assert len(history) == len(at) - 1, "after the last kill it was finished"


def test_a_resumed_run_is_evaluated_to_the_same_metrics(tmp_path: Path) -> None:
    few = ("nll.samples=3", "nll.images=60", "measures=[nll,latents,reconstructions]", "latents.images=100", "latents.points=50")
    found = []
    for run in (alone(tmp_path / "a"), killed(tmp_path / "b", at=(25,))):
        status, out = forks.run(tmp_path, f"run={run}", *few, "per_image=true", command="evaluate")
        assert status == 0, out
        with np.load(run / "per_image_test.npz") as arrays:
            found.append((json.loads((run / "results.json").read_text())["test"], dict(arrays)))
    (metrics, images), (resumed_metrics, resumed_images) = found
    assert metrics["nll"] > 0
    assert resumed_metrics == metrics
    assert images.keys() == resumed_images.keys()
    for name in images:
        np.testing.assert_array_equal(resumed_images[name], images[name])


def test_a_checkpoint_that_a_dying_process_wrote_last_is_resumed_from(tmp_path: Path) -> None:
    """The checkpoint appears after the run was first read, before its folder is unlocked."""
    (tmp_path / "b").mkdir()
    assert forks.run(tmp_path / "b", *SHORT, plant=at_step(33, kill_self()))[0] == 137
    run = forks.only_run(tmp_path / "b")
    last = run / "checkpoints" / "last.ckpt"
    later = last.read_bytes()
    last.write_bytes(last.with_name("previous.ckpt").read_bytes())

    def plant() -> None:
        from vae_lightning.training import fit as running

        original = running.exclusive_folder

        def exclusive_folder(folder: Path):
            last.write_bytes(later)
            return original(folder)

        running.exclusive_folder = exclusive_folder  # type: ignore[assignment]

    status, out = forks.run(tmp_path / "b", f"resume={run}", plant=plant)
    assert status == 0, out
    assert compare.differences(forks.left_alone(*SHORT), run) == []


def test_early_stopping_stays_stopped_and_a_finished_run_says_so(tmp_path: Path) -> None:
    left = forks.left_alone(*SHORT, *EARLY)
    assert 60 < compare.last_step(left) < 20 * 20
    in_last_epoch = compare.last_step(left) - 10
    resumed = killed(tmp_path / "b", *EARLY, at=(25, in_last_epoch - 30, 2))
    assert compare.differences(left, resumed) == []
    status, out = forks.run(tmp_path / "b", f"resume={resumed}")
    assert (status, out.count("\n")) == (0, 1)
    assert "early stopping ended it" in out
    status, out = forks.run(tmp_path / "b", f"resume={resumed}", "callbacks.early_stopping.patience=2")
    assert status == 0, out
    assert compare.last_step(resumed) > compare.last_step(left)


def test_an_extended_run_keeps_the_schedules_of_the_original_length(tmp_path: Path) -> None:
    run = alone(tmp_path / "a", "beta_schedule=linear", "lr_schedule=multistep")
    before = (run / "metrics.csv").read_text()
    status, out = forks.run(tmp_path, f"resume={run}")
    assert status == 0
    assert "is finished (3 epochs, 60 steps): trainer.max_epochs=6 extends it" in out
    for wrong in ("trainer.max_epochs=", "data.batch_size=0", "callbacks.last.every_n_steps=0", "trainer.limit_train_batches=0"):
        status, out = forks.run(tmp_path, f"resume={run}", wrong)
        assert (status, out.count("\n"), out.startswith(f"error: {wrong}")) == (2, 1, True), out
    status, out = forks.run(tmp_path, f"resume={run}", "trainer.max_epochs=4", "data.num_workers=1", "logger=none")
    assert status == 0, out
    after = (run / "metrics.csv").read_text()
    assert after.startswith(before)
    last = dict(zip(after.splitlines()[0].split(","), after.splitlines()[-1].split(","), strict=True))
    assert (last["kind"], last["epoch"], last["step"]) == ("train", "3", "80")
    assert float(last["lr"]) == pytest.approx(0.002 / 100), "the milestones at 1/2 and 3/4 of the first 60 steps"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["trainer"]["max_epochs"], config["logger"], config["choices"]["logger"]) == (4, {}, "none")
    assert config["trainer"]["limit_train_batches"] == 20
    assert config["resumes"][0]["overrides"] == ["trainer.max_epochs=4", "data.num_workers=1", "logger=none"]


@pytest.mark.parametrize(
    ("rate", "said"), [(0.0, "start a new run with trainer.max_epochs=6"), (1e-6, "trainer.max_epochs=6 extends it")]
)
def test_a_finished_run_at_a_learning_rate_of_0_is_not_offered_more_epochs(tmp_path: Path, rate: float, said: str) -> None:
    (tmp_path / "results.json").write_text('{"steps": 60}')
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    content = {
        "position": {"epoch": 3, "batch": 0}, "global_step": 60, "files": {},
        "optimizer_states": [{"param_groups": [{"lr": rate}, {"lr": 0.0}]}],
    }  # fmt: skip
    config = OmegaConf.create({"trainer": {"max_epochs": 3, "max_steps": -1}, "choices": {"lr_schedule": "cosine"}})
    start = ResumePoint(tmp_path, config, tmp_path / "checkpoints" / "last.ckpt", content, ("trainer.max_epochs=6",))
    sentence = already_finished(start)
    assert sentence is not None
    assert sentence.endswith(f"{said}.")
    assert ("lr_schedule=cosine has brought the learning rate to 0" in sentence) == (rate == 0)
    assert [note.partition(" has ")[0] for note in roll_back_to_checkpoint(start)] == (
        ["lr_schedule=cosine"] if rate == 0 else []
    )
    assert roll_back_to_checkpoint(start._replace(overrides=("data.num_workers=1",))) == []


def test_a_run_is_resumed_wherever_it_was_moved_to(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert forks.run(tmp_path / "b", *SHORT, plant=at_step(33, kill_self()))[0] == 137
    moved = tmp_path / "moved" / "'a b" / "${x} beta=4,5 {c}[d] it's\""
    moved.parent.mkdir(parents=True)
    forks.only_run(tmp_path / "b").rename(moved)
    status, out = forks.run(moved.parent, f"resume=../{moved.relative_to(tmp_path / 'moved')}")
    assert status == 0, out
    assert compare.differences(forks.left_alone(*SHORT), moved) == []
    for path in (f"'{moved}'", f"{moved}/checkpoints/last.ckpt"):
        status, out = forks.run(tmp_path, f"resume={path}")
        assert (status, "is finished" in out) == (0, True), out
    assert {path.name for path in moved.parent.iterdir()} == {moved.name, "out.txt"}, "nothing is created in this folder"


def test_what_a_resume_refuses(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    assert forks.run(tmp_path / "b", *SHORT, plant=at_step(33, kill_self()))[0] == 137
    run = forks.only_run(tmp_path / "b")
    config = (run / "config.yaml").read_text()
    for arguments, words in (
        (("latent_dim=4",), "latent_dim=4: latent_dim cannot change on a resume (the run has latent_dim=3)"),
        (("model=conv",), "model=conv: model cannot change on a resume (the run has model=mlp)"),
        (("seed=1", "trainer.max_epochs=9"), "seed=1: seed cannot change on a resume"),
        (("optimizer.lr=0.1",), "optimizer.lr cannot change on a resume"),
        (("output_dir=elsewhere",), "output_dir cannot change on a resume"),
        (("trainer.max_epoch=9",), "Did you mean 'trainer.max_epochs'?"),
        (("callbacks=minimall",), "Did you mean 'minimal'?"),
        (("data.batch_size=32",), "data.batch_size=32: was 64 when the checkpoint was written, after 10 batches of epoch 1"),
        (("+new=1",), "can be changed, not added"),
        (("-m",), "-m: resume="),
        (("trainer.fast_dev_run=true",), "fast_dev_run"),
    ):
        status, out = forks.run(tmp_path, f"resume={run}", *arguments)
        assert (status, out.count("error: "), "Traceback" in out) == (2, 1, False), out
        assert words in out
        assert (run / "config.yaml").read_text() == config
    # the same value is no change
    status, out = forks.run(tmp_path, f"resume={run}", "latent_dim=3", "model=mlp")
    assert status == 0, out
    (run / "checkpoints" / "last.ckpt").unlink()
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    status, out = forks.run(tmp_path, f"resume={run}")
    assert (status, "has no checkpoint" in out) == (2, True)


def test_a_truncated_checkpoint_is_named_and_the_one_before_it_is_resumed(tmp_path: Path) -> None:
    run = alone(tmp_path / "a")
    last = run / "checkpoints" / "last.ckpt"
    whole, chance = last.read_bytes(), random.Random(0)
    places = [0, 1, 30, len(whole) - 1, len(whole) - 22, *(chance.randrange(len(whole)) for _ in range(20))]
    for place in places:
        last.write_bytes(whole[:place])
        assert faults.is_named(run), place
    for place in (chance.randrange(len(whole)) for _ in range(20)):
        last.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        assert not faults.is_misread(run, whole), place
    last.write_bytes(whole[:-5])
    status, out = forks.run(tmp_path, f"resume={run}", "trainer.max_epochs=4")
    assert (status, "last.ckpt is damaged" in out, "previous.ckpt" in out) == (1, True, True), out
    status, out = forks.run(tmp_path, f"resume={run / 'checkpoints' / 'previous.ckpt'}")
    assert status == 0, out
    assert compare.differences(forks.left_alone(*SHORT), run) == []
    for name, offered in (("last", "previous.ckpt"), ("previous", "best.ckpt"), ("best", "there is no other")):
        os.truncate(run / "checkpoints" / f"{name}.ckpt", 1000)
        with pytest.raises(RunError, match=rf"last\.ckpt is damaged .*{offered}"):
            find_resume_point(str(run), [])


def test_each_process_restores_its_own_state_and_none_with_another_number_of_processes() -> None:
    ranks = [{"means": f"means {rank}", "random": f"states {rank}"} for rank in range(2)]
    checkpoint = {"ranks": ranks, "position": {"epoch": 1, "batch": 0, "layout": {}}, "recorder": {}, "images": 0.0}
    seen: list[Any] = []
    recorder = SimpleNamespace(load_state_dict=lambda state, means, images: seen.append(means))
    for rank, world in ((0, 2), (1, 2), (0, 1), (2, 3)):
        module: Any = SimpleNamespace(global_rank=rank, trainer=SimpleNamespace(world_size=world), recorder=recorder)
        seen.append(Resumed.of(module, checkpoint).random)
    assert seen == ["means 0", "states 0", "means 1", "states 1", None, None, None, None]
    drawn = []
    for rank in (0, 1, 0):  # new runs
        Resumed().set_random_states(SimpleNamespace(seed=0, global_rank=rank))  # type: ignore[arg-type]
        drawn.append((random.random(), torch.rand(()).item()))
    assert drawn[0] == drawn[2] != drawn[1]


def test_one_process_reports_what_cannot_change_within_an_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_state, "batch_layout", lambda trainer: {"data.batch_size": 32})
    resumed = Resumed(Position(1, 10), {"data.batch_size": 64})
    for first, kind in ((True, UserError), (False, SystemExit)):
        module: Any = SimpleNamespace(trainer=SimpleNamespace(is_global_zero=first))
        with pytest.raises(kind):
            resumed.check_layout(module)


def test_a_run_resumed_from_an_earlier_checkpoint_deletes_the_later_ones(tmp_path: Path) -> None:
    for name, previous_stays in (("best", False), ("previous", True)):
        run = alone(tmp_path / name)
        checkpoints = run / "checkpoints"
        content = (checkpoints / f"{name}.ckpt").read_bytes()
        notes = roll_back_to_checkpoint(find_resume_point(str(checkpoints / f"{name}.ckpt"), []))
        assert all(note.startswith("Removed logs that were started after the checkpoint") for note in notes)
        assert (checkpoints / "last.ckpt").read_bytes() == content
        assert (checkpoints / "previous.ckpt").exists() is previous_stays


def test_two_processes_are_killed_and_resumed(tmp_path: Path) -> None:
    faults.FAULTS["ddp: the second process dies"](tmp_path)


def test_stopping_on_request(tmp_path: Path) -> None:
    for name in ("SIGTERM", "Ctrl-C", "SLURM requeue"):
        (tmp_path / name).mkdir()
        faults.FAULTS[name](tmp_path / name)


def test_a_run_is_trained_by_one_command_at_a_time(tmp_path: Path) -> None:
    from vae_lightning import files

    second = files.exclusive_folder(tmp_path, patience=0.2)
    with files.exclusive_folder(tmp_path), pytest.raises(RunError, match="Another process is training"), second:
        pass
    with files.exclusive_folder(tmp_path, patience=0):
        pass


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_of_several_slurm_tasks_has_the_folder(rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only this task also records the folder, in case the job is restarted."""
    monkeypatch.setenv("SLURM_JOB_ID", "44")
    monkeypatch.delenv(resumed_run.RUN_FOLDER, raising=False)
    monkeypatch.setattr(rank_zero_only, "rank", rank)
    monkeypatch.setattr(new_run, "in_sweep", lambda: False)
    config = OmegaConf.create({"trainer": {"fast_dev_run": False}, "output_dir": str(tmp_path / "outputs"), "name": "a"})
    folder, owner = new_run.run_folder(config)
    del os.environ[resumed_run.RUN_FOLDER]  # set by run_folder
    found = list(tmp_path.glob("outputs/a/*"))
    if rank == 0:
        assert (found, (tmp_path / "outputs/.slurm/44").read_text()) == ([folder], f"{folder}\n")
    else:
        folder.rmdir()
        assert (found, list(tmp_path.iterdir())) == ([], [])
    assert owner


def test_ten_runs_of_one_second_have_ten_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(range(10**6))
    monkeypatch.setattr("secrets.token_hex", lambda n: f"{next(names) // 7:04x}")  # the same id for seven of them
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(create_folder(tmp_path, "now"))) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == len(made) == 10


def test_global_random_states_go_through_plain_data(tmp_path: Path) -> None:
    torch.save(random_states(), tmp_path / "states.pt")

    def drawn() -> list[float]:
        return [random.random(), float(np.random.rand()), random.gauss(0, 1), float(np.random.randn()), torch.rand(()).item()]  # noqa: NPY002

    first = drawn()
    restore_random_states(torch.load(tmp_path / "states.pt", weights_only=True))
    assert drawn() == first


class Devices:
    """Stands in for CUDA devices, with a generator each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int = 2) -> None:
        self.generators = [torch.Generator().manual_seed(i) for i in range(count)]
        for name, function in {
            "is_available": lambda: True,
            "is_initialized": lambda: True,
            "device_count": lambda: len(self.generators),
            "get_rng_state_all": lambda: [generator.get_state() for generator in self.generators],
            "set_rng_state_all": self.set,
        }.items():
            monkeypatch.setattr(torch.cuda, name, function)

    def set(self, states: list[torch.Tensor]) -> None:
        for generator, state in zip(self.generators, states, strict=True):
            generator.set_state(state)

    def drawn(self) -> list[float]:
        return [torch.rand((), generator=generator).item() for generator in self.generators]


def test_the_random_states_of_each_cuda_device_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    devices = Devices(monkeypatch)
    devices.drawn()
    torch.save(random_states(), tmp_path / "states.pt")
    first = devices.drawn()
    states = torch.load(tmp_path / "states.pt", weights_only=True)
    again = Devices(monkeypatch)
    restore_random_states(states)
    assert again.drawn() == first
    fewer = Devices(monkeypatch, count=1)
    restore_random_states(states)
    assert fewer.drawn() == Devices(monkeypatch, count=1).drawn(), "of other devices: not restored"


def test_a_run_on_the_cpu_does_not_start_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: pytest.fail("this would start CUDA"))
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda _: pytest.fail("this would start CUDA"))
    states = random_states()
    assert states["cuda"] == []
    restore_random_states({**states, "cuda": [torch.get_rng_state()]})


@pytest.mark.parametrize(
    ("kind", "before", "now", "notes"), [("cuda", 2, 2, 0), ("cuda", 2, 1, 1), ("cpu", 2, 2, 1), ("cpu", 0, 2, 0)]
)
def test_another_number_of_gpus_is_mentioned(
    kind: str, before: int, now: int, notes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: now)
    found = cuda_note([{"random": {"cuda": [None] * before}}], torch.device(kind))
    assert len(found) == notes
    assert all(f"random states of {before} CUDA devices" in note for note in found)


MEASURED_EARLIER = (
    "callbacks=default", "callbacks.progress=null", "callbacks.film=null", "callbacks.last.every_n_steps=1",
    "trainer.max_epochs=1", "trainer.limit_train_batches=24",
)  # fmt: skip


@pytest.mark.parametrize(
    ("more", "step"),
    [
        (("trainer.val_check_interval=0.3",), 23),
        (("trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=17"), 20),
        (("trainer.check_val_every_n_epoch=2",), 20),
    ],
)
def test_pictures_do_not_depend_on_a_validation_before_the_kill(tmp_path: Path, more: tuple[str, ...], step: int) -> None:
    """The pictures are drawn after the epoch, from the weights at that time."""
    settings = (*MEASURED_EARLIER, *more)
    left, resumed = forks.left_alone(*SHORT, *settings), killed(tmp_path / "b", *settings, at=(step,))
    assert compare.differences(left, resumed) == []
    drawn = {tag for _, tag, at, _ in compare.tensorboard(resumed) if at == 24}
    assert {"reconstructions", "samples", "kl_per_dimension"} <= drawn


@pytest.mark.parametrize("rank", [0, 1])
def test_skipped_batches_are_those_of_one_epoch_only(rank: int) -> None:
    for make in (
        lambda skip: ShuffledBatches(100, 7, seed=3, epoch=2, rank=rank, world=2, skip=skip),
        lambda skip: OrderedBatches(100, 7, rank=rank, world=2, epoch=2, skip=skip),
    ):
        whole, rest = make(0), make(3)
        assert len(whole) == len(rest) == len(list(whole))
        rest.set_epoch(2)
        assert [b.tolist() for b in rest] == [b.tolist() for b in whole][3:]
        for sampler in (whole, rest):
            sampler.set_epoch(3)
        assert [b.tolist() for b in rest] == [b.tolist() for b in whole]


def test_signals_end_a_command_that_does_not_train() -> None:
    from vae_lightning.training.processes.interrupts import Interrupted, interrupts

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as stopped, interrupts.watched():
        os.kill(os.getpid(), signal.SIGTERM)
    assert (stopped.value.code, stopped.value.signal) == (143, "SIGTERM")
    assert signal.getsignal(signal.SIGTERM) is before
