"""What every gradient estimator says of itself."""

from __future__ import annotations

from typing import ClassVar

from vae_lightning.bounds import LogQ
from vae_lightning.objectives.part import Part


class Gradient(Part):
    """How the gradient with respect to the encoder's parameters φ is estimated; the decoder's is the bound's own.

    `log_q`: how log q(z|x) is evaluated at the draws, (q, z) → (samples, batch); None: as it stands. `power`: of the normalised
    importance weights with which the gradient reaches z; 1 is the bound's own derivative.
    """

    log_q: LogQ | None = None
    power: ClassVar[int] = 1
