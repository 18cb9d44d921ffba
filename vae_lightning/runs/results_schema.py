"""What `results.json` holds, as far as it is read again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Entry = dict[str, Any]


class ResultsFile(msgspec.Struct):
    """The content of `results.json`; further keys are kept as they are.

    Args:
        train: metrics of the last epoch, by name.
        val: metrics of the best checkpoint on the validation images, by name.
        test: the same on the test images.
        steps: training steps; absent if only evaluate.py has written the file.
        epochs: training epochs.
    """

    train: Entry = {}
    val: Entry = {}
    test: Entry = {}
    steps: Count | None = None
    epochs: Count | None = None
