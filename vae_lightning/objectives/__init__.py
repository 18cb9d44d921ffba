"""What is maximised: a bound on log p(x), a gradient estimator for it, the form of its KL, and a penalty, each on its own."""

from vae_lightning.objectives.objective import Losses, Objective

__all__ = ["Losses", "Objective"]
