"""Where the Optuna study of a search is stored."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend

from vae_lightning.errors import RunError
from vae_lightning.runs.sweep_record import SearchRecord

JOURNAL = "study.log"


def study_address(sweep: Path, search: SearchRecord) -> str:
    """Return the address of a search's study: by default a journal in the sweep's folder, also after that was moved.

    Args:
        sweep: the sweep's folder.
        search: the `search` entry of the sweep's record.
    """
    return str(search.get("storage") or sweep / JOURNAL)


@lru_cache(maxsize=4)
def open_storage(address: str) -> BaseStorage:
    """Open a journal file (a path) or one of Optuna's databases (`sqlite:///…`, `mysql://…`, `postgresql://…`)."""
    if "://" in address:
        return optuna.storages.get_storage(address)
    return JournalStorage(JournalFileBackend(address))


class ReadOnlyJournal(BaseJournalBackend):
    """The content of a journal file, so that a study can be read without opening its file for writing.

    Args:
        content: the file's bytes. A damaged line, such as a last one that was cut short, and what follows it are left out.
    """

    def __init__(self, content: bytes) -> None:
        self._logs: list[dict[str, Any]] = []
        for line in content.splitlines():
            try:
                self._logs.append(json.loads(line))
            except (ValueError, RecursionError):
                break

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Return the entries from number `log_number_from` on."""
        return self._logs[log_number_from:]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Refuse to write.

        Raises:
            RunError: always.
        """
        raise RunError("This study was opened read-only.")
