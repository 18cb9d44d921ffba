"""What is maximised: modules (vae, images, β, noise) → `Losses`, plain torch."""

from vae_lightning.objectives.elbo import ELBO, Losses

__all__ = ["ELBO", "Losses"]
