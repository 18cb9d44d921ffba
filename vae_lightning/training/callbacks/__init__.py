"""Lightning callbacks: when checkpoints are written, pictures drawn, progress shown and training stopped."""

from vae_lightning.training.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from vae_lightning.training.callbacks.early_stopping import EarlyStopping
from vae_lightning.training.callbacks.ema import EMA
from vae_lightning.training.callbacks.figures import Pictures
from vae_lightning.training.callbacks.film import Film
from vae_lightning.training.callbacks.progress import TrainingProgress

__all__ = ["EMA", "BestCheckpoint", "EarlyStopping", "Film", "LastCheckpoint", "Pictures", "TrainingProgress"]
