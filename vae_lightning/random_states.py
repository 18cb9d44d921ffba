"""The states of the global random generators, as plain data that a checkpoint can hold.

Nothing here draws from them (see `noise`), but code of one's own may.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch


def random_states() -> dict[str, Any]:
    """Of Python, NumPy, torch on the CPU and on each CUDA device of this process."""
    version, words, gauss = random.getstate()
    state: Any = np.random.get_state()  # noqa: NPY002
    kind, numpy_words, position, has_gauss, numpy_gauss = state
    return {
        "python": [version, list(words), gauss],
        "numpy": [kind, numpy_words.tolist(), int(position), int(has_gauss), float(numpy_gauss)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def seed_random_states(seed: int) -> None:
    """Starts all of them, so that a run repeated is one for code of one's own too."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def restore_random_states(states: dict[str, Any]) -> None:
    """Sets them; CUDA's where there are as many devices as there were."""
    version, words, gauss = states["python"]
    random.setstate((version, tuple(words), gauss))
    kind, numpy_words, *rest = states["numpy"]
    np.random.set_state((kind, np.array(numpy_words, dtype=np.uint32), *rest))  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if torch.cuda.is_available() and torch.cuda.device_count() == len(states["cuda"]):
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
