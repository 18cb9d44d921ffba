"""Where the Optuna study of a search is stored."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from vae_lightning.runs.sweep_record import SearchRecord

JOURNAL = "study.log"


def study_address(sweep: Path, search: SearchRecord) -> str:
    """The address of a search's study: by default a journal in the sweep's folder, even after the folder was moved.

    Args:
        sweep: the sweep's folder.
        search: the `search` entry of the sweep's record.
    """
    return str(search["storage"] or sweep / JOURNAL)


@lru_cache(maxsize=4)
def open_storage(address: str) -> BaseStorage:
    """Opens a journal file (a path) or one of Optuna's databases (`sqlite:///…`, `mysql://…`, `postgresql://…`)."""
    if "://" in address:
        return optuna.storages.get_storage(address)
    return JournalStorage(JournalFileBackend(address))
