"""Injects faults of the machine into a running command; each returns the error message, or fails an assertion."""

from __future__ import annotations

import errno
import io
import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from tests.chaos import compare, forks
from vae_lightning.errors import RunError
from vae_lightning.runs.checkpoint_files import is_intact
from vae_lightning.training import resume

SHORT = (
    "model.hidden=[32]", "latent_dim=3", "trainer.max_epochs=3", "trainer.limit_train_batches=20", "trainer.accelerator=cpu",
    "callbacks=minimal", "callbacks.last.every_n_steps=5", "trainer.log_every_n_steps=7", "data.val_size=100",
    "data.test_size=100",
)  # fmt: skip
DDP = ("trainer=ddp", "trainer.strategy=ddp_fork")
NOBODY = 65534

Plant = Callable[[], None]


# ---------------------------------------------------------------- planting


def at_step(step: int, action: Plant) -> Plant:
    """Calls `action` before the training step that follows `step` steps of this process."""

    def plant() -> None:
        from vae_lightning.training.module import VAEModule

        original, count = VAEModule.training_step, [0]

        def training_step(self, batch, batch_idx):
            if count[0] == step:
                action()
            count[0] += 1
            return original(self, batch, batch_idx)

        VAEModule.training_step = training_step  # type: ignore[method-assign]

    return plant


def in_validation(number: int, action: Plant) -> Plant:
    """Calls `action` at the start of this process's validation number `number`."""

    def plant() -> None:
        from vae_lightning.training.module import VAEModule

        original, count = VAEModule.on_validation_start, [0]

        def on_validation_start(self):
            count[0] += 1
            if count[0] == number:
                action()
            original(self)

        VAEModule.on_validation_start = on_validation_start  # type: ignore[method-assign]

    return plant


def at_call(owner: str, name: str, action: Callable[..., object], after: bool = False) -> Plant:
    """Calls `action` just before (or after) the function or method `name` of `owner`, a module or module:class.

    It gets the arguments of the call.
    """

    def plant() -> None:
        module, _, class_ = owner.partition(":")
        holder = getattr(import_module(module), class_) if class_ else import_module(module)
        original = getattr(holder, name)

        def function(*args, **kwargs):
            if not after:
                action(*args)
            returned = original(*args, **kwargs)
            if after:
                action(*args)
            return returned

        setattr(holder, name, function)

    return plant


def kill_self(signum: int = signal.SIGKILL, rank: int | None = None) -> Plant:
    def kill() -> None:
        if rank is None or int(os.environ.get("LOCAL_RANK", "0")) == rank:
            os.kill(os.getpid(), signum)

    return kill


def poison(term: str, step: int) -> Plant:
    """Makes one term of the objective NaN at a step; "weights": makes the gradient, and so the weights, NaN."""

    def plant() -> None:
        from vae_lightning.objectives import Objective

        original, count = Objective.forward, [0]

        def forward(self, vae, *args):
            losses = original(self, vae, *args)
            count[0] += 1
            if count[0] != step:
                return losses
            if term == "weights":
                return {**losses, "loss": losses["loss"] + sum((p * 0).sum().sqrt() for p in vae.parameters())}  # infinite slopes
            return {**losses, term: losses[term] * float("nan")}

        Objective.forward = forward  # type: ignore[method-assign]

    return plant


def poison_validation(term: str, call: int) -> Plant:
    """Makes one term NaN when a split is measured for the `call`-th time."""

    def plant() -> None:
        from vae_lightning.evaluation import elbo

        original, count = elbo.elbo_terms, [0]

        def elbo_terms(*args, **kwargs):
            terms = original(*args, **kwargs)
            count[0] += 1
            if count[0] == call:
                object.__setattr__(terms, term, getattr(terms, term) * float("nan"))
            return terms

        elbo.elbo_terms = elbo_terms

    return plant


# ---------------------------------------------------------------- what has to hold after each fault


def failed(folder: Path, *overrides: str, plant: Plant | None = None, seconds: float = 60.0, status: int = 1) -> str:
    """Runs a command that has to fail in time, with one error message and no process left behind; returns the message."""
    of_mnist5k = [text for text in SHORT if not text.startswith("data.")] if "data=mnist" in overrides else SHORT
    child = forks.start(folder, *of_mnist5k, *overrides, plant=plant)
    got = child.wait(seconds)
    errors = [line for line in child.out.splitlines() if line.startswith("error: ")]
    assert got == status, (got, child.out[-2000:])
    assert len(errors) == 1, child.out[-2000:]
    assert "Traceback" not in child.out, child.out[-3000:]
    _none_left(child.pid)
    return errors[0].removeprefix("error: ")


def still_good(folder: Path, *overrides: str) -> None:
    """Asserts that the last checkpoint is intact, no half-written file is left, and the resumed run ends as without a fault."""
    run = forks.only_run(folder)
    assert is_intact(run / "checkpoints" / "last.ckpt")
    assert not list(run.rglob("*.tmp"))
    status, out = forks.run(folder, f"resume={run}")
    assert status == 0, out[-2000:]
    found = compare.differences(forks.left_alone(*SHORT, *overrides), run)
    assert not found, found


def is_named(run: Path) -> bool:
    """Whether a damaged last.ckpt is named in an error message that offers previous.ckpt."""
    try:
        resume.find_resume_point(str(run), [])
    except RunError as error:
        return "last.ckpt is damaged" in str(error) and "previous.ckpt" in str(error)
    return False


def is_misread(run: Path, whole: bytes) -> bool:
    """Whether last.ckpt is read with another content than it had."""
    try:
        content = resume.find_resume_point(str(run), []).content
    except RunError:
        return False
    return bool(compare.unequal(content, torch.load(io.BytesIO(whole), weights_only=True)))


# ---------------------------------------------------------------- the faults


def full_disk(folder: Path) -> str:
    """Fills a small tmpfs in the middle of the run; without the right to mount one, limits the size of files."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(disk)], capture_output=True).returncode == 0
    if not mounted:
        return limited_files(folder)
    try:

        def fill() -> None:
            try:
                with (disk / "filler").open("wb") as file:
                    while True:
                        file.write(b"0" * 4096)
                        file.flush()
            except OSError:
                return

        said = failed(disk, plant=at_step(33, fill))
        assert "No space left" in said, said
        assert "resume=" in said, said
        (disk / "filler").unlink()
        still_good(disk)
        return said.replace(str(disk), "…")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def limited_files(folder: Path, *overrides: str) -> str:
    """From the middle of the run on, no file may grow beyond 100 kB."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    said = failed(folder, *overrides, plant=at_step(33, limit))
    assert "free some space" in said, said
    still_good(folder, *overrides)
    return said


def close(folder: Path) -> None:
    """Makes the folder read-only; root becomes another user instead."""
    if os.getuid() == 0:
        os.setuid(NOBODY)
    else:
        os.chmod(folder, 0o500)


def closed_before(module: str, name: str, folder: Path) -> Plant:
    """Makes `folder` read-only when the function `name` is called: by then the command has read its own files."""
    return at_call(module, name, lambda *_: close(folder))


def unwritable_output(folder: Path) -> str:
    target = folder / "closed"
    target.mkdir()
    _let_in(folder)
    said = failed(folder, f"output_dir={target}", plant=closed_before("vae_lightning.api.new_run", "run_folder", target))
    assert str(target) in said, said
    assert "Permission denied" in said, said
    assert "output_dir" in said, said
    target.chmod(0o700)
    assert not list(target.iterdir())
    return said.replace(str(folder), "…")


def closed_while_running(folder: Path) -> str:
    _let_in(folder)
    said = failed(folder, plant=at_step(33, lambda: close(forks.only_run(folder) / "checkpoints")))
    assert "Permission denied" in said, said
    for path in (forks.only_run(folder), *forks.only_run(folder).rglob("*")):
        path.chmod(0o755)
    still_good(folder)
    return said.replace(str(folder), "…")


def events_cannot_be_made(folder: Path) -> str:
    def plant() -> None:
        from vae_lightning.runs import folder as runs

        original = runs.create_folder

        def create_folder(parent: Path, prefix: str) -> Path:
            made = original(parent, prefix)
            (made / "train").write_text("a file where the folder of the training events should be")
            return made

        runs.create_folder = create_folder

    said = failed(folder, plant=plant)
    assert "train" in said, said
    return said.replace(str(folder), "…")


def events_cannot_be_written(folder: Path) -> str:
    """TensorBoard's thread finds the disk full after 60 records."""

    def plant() -> None:
        from tensorboard.summary.writer import record_writer

        original, count = record_writer.RecordWriter.write, [0]

        def write(self, data):
            count[0] += 1
            if count[0] > 60:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "events.out.tfevents")
            return original(self, data)

        record_writer.RecordWriter.write = write

    said = failed(folder, plant=plant)
    assert "events.out.tfevents" in said, said
    still_good(folder)
    return said


def closed_data(folder: Path) -> str:
    """data.root is an empty folder without write permission, so that nothing can be downloaded to it."""
    root = folder / "data"
    root.mkdir()
    _let_in(folder)
    plant = closed_before("vae_lightning.training.parts", "build_data", root)
    said = failed(folder, "data=mnist", f"data.root={root}", plant=plant, status=2)
    assert str(root) in said, said
    assert "cannot be written" in said, said
    return said.replace(str(folder), "…")


def unreadable_data(folder: Path) -> str:
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (raw / f"{name}-ubyte").write_bytes(b"")
        (raw / f"{name}-ubyte").chmod(0)
    _let_in(folder)
    plant = closed_before("vae_lightning.training.parts", "build_data", folder / "data")
    said = failed(folder, "data=mnist", f"data.root={folder / 'data'}", plant=plant, status=2)
    assert "train-images-idx3-ubyte" in said, said
    assert "Permission denied" in said, said
    return said.replace(str(folder), "…")


def nan_in(term: str) -> Callable[[Path], str]:
    def fault(folder: Path) -> str:
        said = failed(folder, plant=poison(term, 33))
        step = 34 if term == "weights" else 33
        assert f"at step {step}, epoch 1" in said, said
        assert f"began in {'all terms at once, so in the weights' if term == 'weights' else term}" in said, said
        assert "trainer.detect_anomaly=true" in said, said
        still_good(folder)
        return said

    return fault


def nan_in_weights_at_the_end_of_an_epoch(folder: Path) -> str:
    """It shows in the validation that follows, but the message names the weights."""
    said = failed(folder, plant=poison("weights", 40))
    assert "at step 40, epoch 1: it began in weights" in said, said
    return said


def nan_in_validation(folder: Path) -> str:
    said = failed(folder, plant=poison_validation("kl", 2))
    assert "at step 40, epoch 1 of validation: it began in kl. " in said, said
    assert "detect_anomaly" not in said, said
    still_good(folder)
    return said


def nan_in_final_metrics(folder: Path) -> str:
    """In the last of three validations and two final measurements: nothing else is lost."""
    said = failed(folder, plant=poison_validation("reconstruction", 5))
    assert "in the final metrics of test, after step 60, epoch 3: it began in reconstruction. " in said, said
    assert "best.ckpt is kept" in said, said
    run = forks.only_run(folder)
    assert not (run / "results.json").exists()
    assert forks.run(folder, f"resume={run}")[0] == 0
    assert (run / "results.json").exists()
    return said


def out_of_memory(folder: Path) -> str:
    def ask_for_too_much() -> None:
        torch.empty(10**15)

    said = failed(folder, plant=at_step(33, ask_for_too_much))
    assert "data.batch_size" in said, said
    assert "nll.chunk" in said, said
    still_good(folder)
    return said


def out_of_device_memory(folder: Path) -> str:
    def refuse() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB.")

    said = failed(folder, plant=at_step(33, refuse))
    assert "data.eval_batch_size" in said, said
    return said


def worker_dies(folder: Path) -> str:
    def plant() -> None:
        from vae_lightning.data.images import Images

        original, count = Images.__getitem__, [0]

        def get(self, places):
            count[0] += 1
            if torch.utils.data.get_worker_info() is not None and count[0] == 15:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, places)

        Images.__getitem__ = get  # type: ignore[method-assign]

    said = failed(folder, "data.num_workers=1", plant=plant)
    assert "worker" in said, said
    assert "data.num_workers=0" in said, said
    return said


def looks_late() -> None:
    """The main process checks its workers a second late, as on a busy machine: by then both workers have failed."""
    from torch.multiprocessing.spawn import ProcessContext

    original = ProcessContext.join

    def join(self, *args, **kwargs):
        time.sleep(1)
        return original(self, *args, **kwargs)

    ProcessContext.join = join  # type: ignore[method-assign]


def process_dies(rank: int) -> Callable[[Path], str]:
    def plant() -> None:
        looks_late()
        at_step(33, kill_self(rank=rank))()

    def fault(folder: Path) -> str:
        said = failed(folder, *DDP, plant=plant)
        assert f"process {rank} terminated with signal SIGKILL" in said, said
        still_good(folder, *DDP)
        return said

    return fault


def process_is_refused(folder: Path) -> str:
    """One of two processes runs out of memory; the other loses its connection to it."""

    def ask_for_too_much() -> None:
        if os.environ["LOCAL_RANK"] == "1":
            torch.empty(10**15)

    def plant() -> None:
        looks_late()
        at_step(33, ask_for_too_much)()

    said = failed(folder, *DDP, plant=plant)
    assert "data.batch_size" in said, said
    still_good(folder, *DDP)
    return said


def command_dies(folder: Path) -> str:
    """The main process is killed and leaves its two workers behind: they end by themselves."""
    child = forks.start(folder, *SHORT, *DDP, plant=at_step(33, lambda: os.kill(os.getppid(), signal.SIGKILL)))
    assert child.wait(60) == 137
    _none_left(child.pid)
    still_good(folder, *DDP)
    return "(killed)"


def _none_left(group: int) -> None:
    """Asserts that all processes of the group have ended within half a minute."""
    for _ in range(300):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    raise AssertionError("processes were left behind")


def stopped_by(signum: int, *overrides: str) -> Callable[[Path], str]:
    """A signal asks the run to stop: it writes a checkpoint, prints the resume command and ends with the usual status."""

    def fault(folder: Path) -> str:
        arguments = (*SHORT, *overrides, "callbacks.last.every_n_steps=null")
        plant = at_step(33, lambda: os.kill(os.getppid() if overrides else os.getpid(), signum))
        status, out = forks.run(folder, *arguments, plant=plant)
        assert status == 128 + signum, (status, out[-2000:])
        assert "Traceback" not in out
        said = next(line for line in out.splitlines() if line.startswith("Stopped by"))
        run = forks.only_run(folder)
        assert f"python train.py resume={run.relative_to(folder)}" in said
        step = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"]
        assert 33 <= step <= 42, step
        still_good(folder, *overrides, "callbacks.last.every_n_steps=null")
        return said

    return fault


def requeued_by_slurm(folder: Path) -> str:
    """SLURM signals that the time limit is near: a checkpoint is written between two steps, and Lightning requeues the job."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> "{folder}/requeued"\n')
    (programs / "scontrol").chmod(0o755)

    def plant() -> None:
        os.environ |= {
            "SLURM_JOB_ID": "42", "SLURM_NTASKS": "1", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
            "SLURM_NODEID": "0", "PATH": f"{programs}:{os.environ['PATH']}",
        }  # fmt: skip

    def first() -> None:
        plant()
        at_step(33, lambda: os.kill(os.getpid(), signal.SIGUSR1))()
        at_step(40, kill_self(signal.SIGTERM))()

    def again() -> None:
        plant()
        os.environ["SLURM_RESTART_COUNT"] = "1"

    status, out = forks.run(folder, *SHORT, plant=first)
    assert status == 143, out[-2000:]
    assert (folder / "requeued").read_text() == "requeue 42\n"
    run = forks.only_run(folder)
    assert not list(run.glob("hpc_ckpt*"))
    status, out = forks.run(folder, *SHORT, plant=again)  # the very same command
    assert status == 0, out[-2000:]
    assert forks.only_run(folder) == run
    found = compare.differences(forks.left_alone(*SHORT), run)
    assert not found, found
    return "(the job resumes in its run folder)"


def at_once(folder: Path) -> str:
    """Ten runs are started at once."""
    children = [forks.start(_made(folder / str(i)), *SHORT, f"output_dir={folder / 'shared'}") for i in range(10)]
    assert [child.wait() for child in children] == [0] * 10, [child.out[-500:] for child in children]
    runs = list((folder / "shared").glob("*/*/results.json"))
    assert len(runs) == 10
    return "(ten folders)"


def trained_twice(folder: Path) -> str:
    """A second command resumes a run that is still training."""
    first = forks.start(folder, *SHORT, plant=at_step(33, lambda: time.sleep(14)))
    while not list(folder.glob("outputs/*/*/checkpoints/last.ckpt")):
        time.sleep(0.05)
    (folder / "second").mkdir()
    status, out = forks.run(folder / "second", f"resume={forks.only_run(folder)}")
    assert (status, "Another process is training" in out) == (1, True), out
    assert first.wait() == 0, first.out
    return out.strip().replace(str(folder), "…").removeprefix("error: ")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _let_in(folder: Path) -> None:
    """Gives everyone the right to enter and write."""
    for path in (folder, *folder.parents):
        if path.owner() == folder.owner() and path != Path("/") and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    folder.chmod(0o777)


FAULTS: dict[str, Callable[[Path], str]] = {
    "full disk": full_disk,
    "files may not grow": limited_files,
    "output folder without write permission": unwritable_output,
    "checkpoint folder closed in the middle": closed_while_running,
    "event file cannot be made": events_cannot_be_made,
    "event file cannot be written": events_cannot_be_written,
    "read-only data folder": closed_data,
    "unreadable data": unreadable_data,
    **{f"NaN in {term}": nan_in(term) for term in ("reconstruction", "kl", "loss", "weights")},
    "NaN in weights at the end of an epoch": nan_in_weights_at_the_end_of_an_epoch,
    "NaN in validation": nan_in_validation,
    "NaN in the final metrics": nan_in_final_metrics,
    "out of memory": out_of_memory,
    "out of device memory": out_of_device_memory,
    "a data worker dies": worker_dies,
    "ddp: the first process dies": process_dies(0),
    "ddp: the second process dies": process_dies(1),
    "ddp: the second process is out of memory": process_is_refused,
    "ddp: files may not grow": lambda folder: limited_files(folder, *DDP),
    "ddp: the command dies": command_dies,
    "SIGTERM": stopped_by(signal.SIGTERM),
    "Ctrl-C": stopped_by(signal.SIGINT),
    "ddp: SIGTERM": stopped_by(signal.SIGTERM, *DDP),
    "SLURM requeue": requeued_by_slurm,
    "ten runs at once": at_once,
    "a run resumed while it trains": trained_twice,
}
