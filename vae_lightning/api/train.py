"""`vl.train("model=conv", "beta=4", data=x)`: what `python train.py` does, from Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vae_lightning.api.compose import check_texts, compose_run
from vae_lightning.api.new_run import train_new
from vae_lightning.api.resumed_run import resume, resumes
from vae_lightning.api.session import python_session
from vae_lightning.config.compose import without_hydra
from vae_lightning.config.private_apis import as_hydra_config
from vae_lightning.errors import UserError

if TYPE_CHECKING:
    from vae_lightning.runs.folder import Run


def train(*overrides: str, data: object = None, labels: object = None, targets: object = None) -> Run:
    """Train a VAE as `python train.py` does: the same run folder, checks and messages.

    Calls from several threads wait for each other. A job of SLURM that is requeued does not continue its run by itself,
    as that of the command does: use `"resume=outputs/…"`.

    Args:
        overrides: as typed on the command line, such as `"model=conv"` and `"beta=4"`. `"resume=outputs/…"` continues that run.
        data: the name of a data set, as in `data="mnist5k"`; or images, as an array or a tensor: (N, H, W), (N, H, W, C) or
            (N, C, H, W), uint8 or float, see docs/python.md. They are copied into the run folder, up to 1 GB.
        labels: the class of each image, numbers or texts, (N,); −1 for an image without one.
        targets: numbers that belong to the images, (N, D); only conditions read them.

    Returns:
        The run. A run with `debug=fast_dev_run` has no folder, and so no results.

    Raises:
        UserError: a setting or the data are wrong; no run folder is left behind.
        RunError: the machine failed, a file of the run is damaged, or the numbers are not finite.
        KeyboardInterrupt: Ctrl-C was pressed; a checkpoint has been written.

    Example:
        >>> run = vl.train("model=conv", "beta=4", data=images, labels=labels)
        >>> run.results["test"]["elbo"]
        -121.3
    """
    texts = check_texts(overrides, "vl.train")
    check_given(texts, data, labels, targets)
    with python_session():
        if resumes(texts):
            return resume(texts)
        arrays = None
        if isinstance(data, str):
            texts.append(f"data={data}")
        elif data is not None:
            from vae_lightning.api.given_arrays import GivenArrays

            arrays = GivenArrays(data, labels, targets)
            texts = [*arrays.overrides(), *texts]
        composed = compose_run(texts, "vl.train")
        config = without_hydra(composed)
        prepare_strategy(config)
        with as_hydra_config(composed):
            return train_new(config, requeues=False, arrays=arrays)


def check_given(texts: Sequence[str], data: object, labels: object, targets: object) -> None:
    """Check that data are given only once, and labels only with images.

    Args:
        texts: the overrides.
        data: see `train`.
        labels: see `train`.
        targets: see `train`.

    Raises:
        UserError: they are not.
    """
    if data is not None:
        for text in texts:
            key, _, value = text.partition("=")
            if key == "data":
                raise UserError(f"{text} cannot be combined with the argument data: leave one of them out.")
            if key in ("resume", "resume_sweep") and value != "null":
                whose = "run" if key == "resume" else "sweep"
                raise UserError(f"{text} continues with the {whose}'s own data: leave the argument data out.")
    for name, given in {"labels": labels, "targets": targets}.items():
        if given is not None and (data is None or isinstance(data, str)):
            raise UserError(f"{name} belongs to images: give them as the argument data, an array or a tensor.")


def prepare_strategy(config: DictConfig) -> None:
    """Replace plain `ddp`, which would run the user's script again in each process, by forked or spawned processes."""
    import torch

    if config.trainer.get("strategy") != "ddp":
        return
    if config.trainer.get("num_nodes", 1) != 1:
        raise UserError("trainer.num_nodes: runs on several machines are started by python train.py.")
    config.trainer.strategy = "ddp_spawn" if torch.cuda.is_available() else "ddp_fork"
