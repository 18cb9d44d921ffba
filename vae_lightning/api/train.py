"""`vl.train("model=conv", "beta=4", data=x)`: what `python train.py` does, from Python."""

from __future__ import annotations

from typing import TYPE_CHECKING

from omegaconf import DictConfig

from vae_lightning.api.compose import check_texts, compose_run
from vae_lightning.api.new_run import train_new
from vae_lightning.api.resumed_run import resume, resumes
from vae_lightning.api.session import python_session
from vae_lightning.config.compose import hydra_config, without_hydra
from vae_lightning.errors import UserError

if TYPE_CHECKING:
    from vae_lightning.runs.folder import Run


def train(*overrides: str, data: str | None = None) -> Run:
    """Train a VAE as `python train.py` does: the same run folder, checks and messages.

    Calls from several threads wait for each other. A requeued job of SLURM does not continue its run by itself, as that of the
    command does: use `"resume=outputs/…"`.

    Args:
        overrides: as typed on the command line, such as `"model=conv"` and `"beta=4"`. `"resume=outputs/…"` continues that run.
        data: the name of a data set, as in `data="mnist5k"`.

    Returns:
        The run. That of `debug=fast_dev_run` has no folder, and so no results.

    Raises:
        UserError: a setting or the data are wrong; no run folder is left behind.
        RunError: the machine, a file of the run or the numbers failed.
        KeyboardInterrupt: after Ctrl-C, when a checkpoint has been written.

    Example:
        >>> run = vl.train("model=conv", "beta=4", "trainer.max_epochs=20")
        >>> run.results["test"]["elbo"]
        -121.3
    """
    texts = check_texts(overrides, "vl.train")
    if data is not None:
        texts.append(f"data={data}")
    with python_session():
        if resumes(texts):
            return resume(texts)
        composed = compose_run(texts, "vl.train")
        config = without_hydra(composed)
        prepare_strategy(config)
        with hydra_config(composed):
            return train_new(config, requeues=False)


def prepare_strategy(config: DictConfig) -> None:
    """Replace plain `ddp`, which would run the user's script again in each process, by processes that are forked or spawned."""
    import torch

    if config.trainer.get("strategy") != "ddp":
        return
    if config.trainer.get("num_nodes", 1) != 1:
        raise UserError("trainer.num_nodes: runs on several machines are started by python train.py.")
    config.trainer.strategy = "ddp_spawn" if torch.cuda.is_available() else "ddp_fork"
