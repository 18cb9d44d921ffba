from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vae_lightning.data.private_apis import is_pickled


def test_numpy_says_that_an_array_is_pickled(tmp_path: Path) -> None:
    path = tmp_path / "objects.npy"
    np.save(path, np.array([[1], [1, 2]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError) as caught:
        np.load(path)
    assert is_pickled(caught.value)
    assert not is_pickled(ValueError("another"))
