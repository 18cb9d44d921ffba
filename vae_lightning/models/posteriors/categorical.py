"""`posterior=categorical`: discrete codes, trained through their Gumbel-softmax relaxation."""

from __future__ import annotations

from torch import Tensor

from vae_lightning.capabilities import DENSITY, DENSITY_ANYWHERE
from vae_lightning.errors import InvalidValue, check_bool, check_int
from vae_lightning.models.distributions.one_hot import OneHots, RelaxedOneHots, space
from vae_lightning.models.posteriors.base import Posterior
from vae_lightning.schedules.beta import Exponential, Schedule
from vae_lightning.schedules.scheduled_value import ScheduledValue


class CategoricalPosterior(Posterior):
    """q_φ(z|x) = Π_v Cat(z_v; π_v(x)), z being one-hot vectors (Jang et al. 2017).

    In training mode draws are relaxed, so values logged during training are those of the relaxed model. In evaluation mode
    draws are exact one-hot vectors, so ELBO and NLL are those of the discrete model. The KL is always exact.

    Args:
        variables: number of categorical variables.
        classes: classes of each variable.
        hard: use one-hot draws in training, with the relaxed draws' gradient (straight-through).
        temperature: temperature of the relaxation: a schedule, or a number to keep it constant.
    """

    option = "posterior=categorical"
    capabilities = frozenset({DENSITY, DENSITY_ANYWHERE})

    def __init__(
        self, variables: int = 1, classes: int = 10, hard: bool = False, temperature: Schedule | float | None = None
    ) -> None:
        super().__init__()
        self.variables, self.classes = check_int("variables", variables), check_int("classes", classes, 2)
        self.latent_dim, self.hard = variables * classes, check_bool("hard", hard)
        self.space = space(variables, classes)
        self.temperature = ScheduledValue(Exponential() if temperature is None else temperature)
        start = self.temperature.value
        if not start.is_meta and not start > 0:  # on "meta", where a model's size is estimated, it has no value
            raise InvalidValue("temperature", float(start), "above 0")

    @property
    def features(self) -> int:
        """variables·classes: log π of each class, up to a constant."""
        return self.latent_dim

    def forward(self, features: Tensor) -> OneHots:
        log_probs = features.float().unflatten(-1, (self.variables, self.classes)).log_softmax(-1)
        return RelaxedOneHots(log_probs, self.temperature.value, self.hard) if self.training else OneHots(log_probs)
