"""What every part of an objective says of itself."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import ClassVar

from torch import nn


class Part(nn.Module):
    """One of an objective's four parts: which option it is, and what it needs of posterior and prior (`abilities`)."""

    option: ClassVar[str]
    needs: ClassVar[AbstractSet[str]] = frozenset()
