"""Whether this machine can do what a configuration asks for: processes, nodes, and memory for the model's weights."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from omegaconf import DictConfig, OmegaConf

from vae_lightning.errors import RunError, UserError
from vae_lightning.memory import format_bytes, free_memory

if TYPE_CHECKING:
    from vae_lightning.models.vae import VAE

FEWEST_PROCESSES = 8  # any machine may run this many on its CPU
FEWEST_WORKERS = 16  # likewise, for those of a DataLoader
# environment variables: every cluster or launcher sets one of them in the processes that it starts
LAUNCHERS = ("SLURM_NTASKS", "TORCHELASTIC_RUN_ID", "GROUP_RANK", "NODE_RANK", "MASTER_ADDR", "LSB_JOBID", "WORLD_SIZE")
COPIES = 2  # training holds each weight at least twice: the weight and its gradient
DECODED_COPIES = 3  # a step holds each decoded pixel at least three times: the mean, its log-density and a gradient
SMALLEST = 2**28  # a model of fewer bytes is always tried


# -------------------------------------------------------------------- processes and nodes


def check_processes(config: DictConfig) -> None:
    """Refuse more processes than the machine can run, and nodes that nobody will start (UserError)."""
    accelerator, devices, nodes = (
        OmegaConf.select(config, f"trainer.{name}") for name in ("accelerator", "devices", "num_nodes")
    )
    most = max(FEWEST_PROCESSES, 2 * (os.cpu_count() or 1))
    count = int(devices) if str(devices).isdecimal() else 0
    if count > most and (accelerator == "cpu" or not _has_gpu()):
        raise UserError(
            f"trainer.devices={count}: must be at most {most} on this machine, which has {os.cpu_count()} processor cores and "
            "runs one process on the CPU for each device."
        )
    if isinstance(nodes, int) and nodes > 1 and not any(name in os.environ for name in LAUNCHERS):
        raise UserError(
            f"trainer.num_nodes={nodes}: this process was not started by SLURM or torchrun, so it would wait forever for the "
            f"other nodes: start the command on all {nodes} nodes with srun or torchrun --nnodes={nodes}, or leave it out."
        )
    workers, allowed = OmegaConf.select(config, "data.num_workers"), max(FEWEST_WORKERS, 4 * (os.cpu_count() or 1))
    if isinstance(workers, int) and workers > allowed:
        raise UserError(
            f"data.num_workers={workers}: must be at most {allowed} on this machine, which has {os.cpu_count()} processor cores: "
            "each worker is a process."
        )
    _check_slurm()


def _check_slurm() -> None:
    """Refuse a SLURM allocation whose tasks Lightning would count although nobody has started them (UserError)."""
    tasks, name = os.environ.get("SLURM_NTASKS", "1"), os.environ.get("SLURM_JOB_NAME")
    if "SLURM_NTASKS_PER_NODE" in os.environ or name in ("bash", "interactive") or not tasks.isdecimal() or int(tasks) < 2:
        return
    raise UserError(
        f"SLURM_NTASKS={tasks}: this shell is in a SLURM allocation of {tasks} tasks: for one process, put "
        f"'env -u SLURM_NTASKS' before the command; for {tasks} on each node, 'srun --ntasks-per-node={tasks}' (in a batch "
        "script: #SBATCH --ntasks-per-node instead of --ntasks)."
    )


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


# -------------------------------------------------------------------- memory


def check_memory(build: Callable[[str | None], VAE], described: Callable[[], str]) -> None:
    """Refuse a model whose weights do not fit into the free memory, before any of them are made.

    The model is built on torch's device `meta`, which has shapes but no values, in some 10 ms. Where a part computes with values
    while it is built, as flows do, only encoder and decoder are. Random numbers are left as they were.

    Args:
        build: makes the model, with encoder and decoder on the device that it is given.
        described: returns the settings that its size depends on, as typed.

    Raises:
        RunError: the weights and their gradients need more than the free memory.
    """
    import torch

    free = free_memory()
    if free is None:
        return
    try:
        with torch.random.fork_rng([]), torch.no_grad():
            try:
                with torch.device("meta"):
                    model = build(None)
            except Exception:  # an operation that `meta` lacks
                model = build("meta")
    except Exception:  # a wrong setting, which the real build will report
        return
    count = sum(parameter.numel() for parameter in model.parameters())
    size = sum(p.numel() * p.element_size() for p in (*model.parameters(), *model.buffers()))
    if size > SMALLEST and COPIES * size > free:
        raise RunError(
            f"The model has {count:,} parameters, which need {format_bytes(COPIES * size)} with their gradients, and "
            f"only {format_bytes(free)} of memory are free: make it smaller ({described()})."
        )


def check_step_memory(config: DictConfig, pixels: int, images: int) -> None:
    """Refuse a step of training on the CPU whose images do not fit into the free memory. A GPU refuses them by itself.

    Args:
        config: of the run.
        pixels: numbers of an image.
        images: in the training data.

    Raises:
        RunError: the decoded images of a step need more than the free memory.
    """
    batch, samples = (OmegaConf.select(config, key) for key in ("data.batch_size", "objective.bound.samples"))
    samples = samples if isinstance(samples, int) and samples < 2**31 else 1  # the objective refuses more
    count = min(batch, images) * samples * pixels
    size, free = DECODED_COPIES * 4 * count, free_memory()
    if size < SMALLEST or free is None or size <= free or (config.trainer.get("accelerator") != "cpu" and _has_gpu()):
        return
    settings = f"data.batch_size={batch}" + (f" and objective.bound.samples={samples}" if samples > 1 else "")
    verb = "make" if samples > 1 else "makes"
    raise RunError(
        f"{settings} {verb} a step of {count:,} decoded pixels, which need {format_bytes(size)}, and {format_bytes(free)} of "
        f"memory are free: lower {'one of them' if samples > 1 else 'it'}."
    )
