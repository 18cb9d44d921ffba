"""Trains a given network with pythae 0.1.2, for `throughput.py`; imported only if pythae is installed."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch import Tensor, nn


class Encoder(BaseEncoder):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: Tensor) -> Any:
        mean, log_variance = self.layers(x.reshape(-1, 784)).chunk(2, -1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class Decoder(BaseDecoder):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, z: Tensor) -> Any:
        # pythae's loss takes probabilities, which autocast forbids in bf16
        return ModelOutput(reconstruction=torch.sigmoid(self.layers(z).float()).view(-1, 1, 28, 28))


class Clock(TrainingCallback):
    """Measures the seconds of the last epoch."""

    def on_epoch_begin(self, training_config: Any, **kwargs: Any) -> None:
        self.start = time.perf_counter()

    def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
        self.seconds = time.perf_counter() - self.start


def seconds_of_second_epoch(x: Tensor, encoder: nn.Module, decoder: nn.Module, latent_dim: int, batch_size: int) -> float:
    """Trains two epochs on x, float32 (N, 784), with pythae's trainer and plain Adam; returns the seconds of the second."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=2,
            learning_rate=1e-3,
            per_device_train_batch_size=batch_size,
            optimizer_cls="Adam",
            no_cuda=True,
        )
        settings = VAEConfig(input_dim=(1, 28, 28), latent_dim=latent_dim, reconstruction_loss="bce")
        dataset = BaseDataset(x.view(-1, 1, 28, 28), torch.ones(len(x)))
        vae = VAE(settings, Encoder(encoder), Decoder(decoder))
        BaseTrainer(vae, dataset, training_config=config, callbacks=[clock]).train()
    return clock.seconds
