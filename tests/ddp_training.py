"""Trains a few steps with noise keyed by example, so that one process and several draw the same noise."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from torch import distributed as dist

from vae_lightning.data.images import Batch
from vae_lightning.data.mnist5k import MNIST5k
from vae_lightning.models.architectures import MLP
from vae_lightning.models.likelihoods import Bernoulli
from vae_lightning.models.posteriors import Diagonal
from vae_lightning.models.priors import StandardNormal
from vae_lightning.models.vae import VAE
from vae_lightning.noise import ExampleNoise, Noise, derive_seed
from vae_lightning.objectives import Objective
from vae_lightning.schedules.feedback import Control
from vae_lightning.schedules.learning_rate import NoLRSchedule
from vae_lightning.training.datamodule import VAEDataModule
from vae_lightning.training.metrics_csv import MetricsCSV
from vae_lightning.training.module import VAEModule


class FixedNoise(VAEModule):
    def training_noise(self, batch: Batch, batch_idx: int) -> Noise:
        return ExampleNoise(batch.examples, derive_seed(self.seed, self.current_epoch))

    def on_train_end(self) -> None:
        """Writes noise.json: the noise that each process would draw without `FixedNoise`."""
        batch = Batch(torch.zeros(2, 1, 28, 28, dtype=torch.uint8), torch.zeros(2), torch.arange(2))
        mine = VAEModule.training_noise(self, batch, 0).normal(torch.zeros(2, 4)).flatten().tolist()
        noise: list = [mine] * self.trainer.world_size
        if dist.is_initialized():
            dist.all_gather_object(noise, mine)
        if self.trainer.is_global_zero:
            (Path(self.trainer.default_root_dir) / "noise.json").write_text(json.dumps(noise))


def train(processes: int, batch_size: int, folder: Path) -> None:
    """Writes metrics.csv and noise.json to `folder`."""
    torch.manual_seed(0)
    vae = VAE(MLP((32,)), Diagonal(4), StandardNormal(4), Bernoulli((1, 28, 28)))
    beta = Control(target=5.0, integral=1e-2)  # controlled by the KL over all processes
    module = FixedNoise(vae, Objective(), beta, partial(torch.optim.Adam, lr=1e-3), NoLRSchedule(), dynamic=True, seed=0)
    trainer = Trainer(
        accelerator="cpu",
        strategy="ddp_fork" if processes > 1 else "auto",
        devices=processes,
        default_root_dir=folder,
        logger=[MetricsCSV(folder)],
        log_every_n_steps=1,
        max_epochs=2,
        limit_train_batches=10,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, datamodule=VAEDataModule(MNIST5k(batch_size=batch_size), "dynamic", seed=0))
