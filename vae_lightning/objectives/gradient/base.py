"""What every gradient estimator says of itself."""

from __future__ import annotations

from vae_lightning.bounds import LogQ
from vae_lightning.objectives.part import Part


class Gradient(Part):
    """`log_q`: how log q(z|x) is evaluated at the draws, (q, z) → (samples, batch); None: as it stands."""

    log_q: LogQ | None = None
