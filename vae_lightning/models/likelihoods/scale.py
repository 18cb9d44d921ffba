"""What likelihoods with a learned scale share: a floor that it cannot pass, since a density has no upper bound without one.

Where pixels are predicted exactly (81% of MNIST's are 0), log p(x|z) grows without end as their scale goes to 0.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

LARGEST_LOG = 5.0  # e⁵ is far wider than [0, 1]; keeps what is divided by a scale finite


def floored_log(raw: Tensor, smallest: float) -> Tensor:
    """log s = log s_min + softplus(raw − log s_min): about `raw` far above log s_min, and never below it; at most 5.

    The soft clip of Rybkin et al. (2021), in their code.
    """
    low = math.log(smallest)
    return (low + F.softplus(raw - low)).clamp_max(LARGEST_LOG)


def inverse_floored_log(scale: float, smallest: float) -> float:
    """The `raw` at which `floored_log` gives log `scale`, for scale > smallest."""
    low = math.log(smallest)
    return low + math.log(math.expm1(math.log(scale) - low))
