"""The lower limit of a learned scale, without which a density is unbounded.

Where pixels are predicted exactly (81% of MNIST's are 0), log p(x|z) grows without bound as their scale goes to 0.
"""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

LARGEST_LOG = 5.0  # e⁵ is far wider than [0, 1]; keeps divisions by a scale finite


def floored_log(raw: Tensor, smallest: float) -> Tensor:
    """Return a log scale with a soft lower limit, log s = log s_min + softplus(raw − log s_min), and at most 5.

    It is about `raw` far above log s_min. This is the soft clip of Rybkin et al. (2021), in their code.
    """
    low = math.log(smallest)
    return (low + F.softplus(raw - low)).clamp_max(LARGEST_LOG)


def inverse_floored_log(scale: float, smallest: float) -> float:
    """Return the `raw` for which `floored_log` gives log `scale`, for scale > smallest."""
    low = math.log(smallest)
    return low + math.log(math.expm1(math.log(scale) - low))
