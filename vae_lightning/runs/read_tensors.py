"""Reading a file of tensors, which may come from anyone: nothing in it is run, and nothing is read before the file is checked."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import torch

from vae_lightning.errors import RunError
from vae_lightning.runs.checkpoint_files import is_intact
from vae_lightning.runs.checkpoint_schema import check_data, check_file


def read_tensors(path: Path) -> Any:
    """Read a file that torch wrote; it may hold only tensors and plain data.

    Raises:
        RunError: it is damaged, or holds anything else.
    """
    check_file(path)
    try:
        if not is_intact(path):
            raise RuntimeError("a checksum is wrong")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about old kinds of tensors, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RunError(f"{path} holds more than tensors and plain data (or is damaged), and is not read.") from error
    except Exception as error:  # random bytes can raise any exception in torch.load
        raise RunError(f"{path} is damaged and cannot be read: try the other checkpoint in its folder.") from error
    check_data(path, content)
    return content
