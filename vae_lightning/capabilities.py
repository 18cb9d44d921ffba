"""What a posterior and a prior can do together, in the words of the error messages, and what parts of an objective need.

A posterior and a prior list in `capabilities` what they can do; together they can do what both can. Each part of an objective
lists in `needs` what it cannot do without. So no shared code has to ask which option it is dealing with.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar, Protocol

from vae_lightning.errors import UserError

DENSITY = "a density q(z|x) at its own draws"
DENSITY_ANYWHERE = "a density q(z|x) at any z"
KL_PER_DIMENSION = "independent latent dimensions, each with a KL divergence of its own"
REAL_SPACE = "latents in the whole of a real space"
TWO_PARTS = "a code of two parts, a continuous and a discrete one"
EVERYTHING = frozenset({DENSITY, DENSITY_ANYWHERE, KL_PER_DIMENSION, REAL_SPACE})


class Option(Protocol):
    """Anything that names its option of the configuration, such as `prior=vamp`."""

    option: ClassVar[str]


class Capable(Option, Protocol):
    """An option that lists what it can do."""

    @property
    def capabilities(self) -> AbstractSet[str]: ...


def require(part: Option, needs: AbstractSet[str], *givers: Capable) -> None:
    """Raise UserError, naming both options, if `part` needs what one of `givers` cannot do."""
    for giver in givers:
        for need in sorted(needs - giver.capabilities):
            raise UserError(f"{part.option} is incompatible with {giver.option}: it needs {need}.")
