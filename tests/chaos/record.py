"""What the campaign has found so far, in a line of JSON for each try, so that it can be stopped and continued at any time."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.chaos.page import Tally


class Record:
    """A file to which the campaign's processes add lines.

    Args:
        path: the file; the lines that it already has count too.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.session, self.began = path, secrets.token_hex(4), time.monotonic()
        path.touch()
        if path.read_bytes()[-1:] not in (b"", b"\n"):
            self._append("\n")  # the last line was cut short

    def add(self, kind: str, name: str, content: Any) -> None:
        row = {"kind": kind, "name": name, "content": content, "session": self.session, "elapsed": round(self.elapsed(), 1)}
        self._append(json.dumps(row) + "\n")

    def add_tally(self, name: str, tally: Tally) -> None:
        self.add("kills", name, asdict(tally))

    def _append(self, text: str) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(text)

    def elapsed(self) -> float:
        """Return the seconds since this session began."""
        return time.monotonic() - self.began

    def rows(self) -> Iterator[dict[str, Any]]:
        for line in self.path.read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:  # the line was cut short
                continue

    def of(self, kind: str) -> dict[str, Any]:
        """Return the content of the lines of a kind, by name."""
        return {row["name"]: row["content"] for row in self.rows() if row["kind"] == kind}

    def tallies(self) -> dict[str, Tally]:
        """Return the counts of each setup."""
        found: dict[str, Tally] = {}
        for row in self.rows():
            if row["kind"] == "kills":
                found[row["name"]] = found.get(row["name"], Tally()) + Tally(**row["content"])
        return found

    def seconds(self) -> float:
        """Return the total time of all sessions, each up to its last line, and of this one until now."""
        ends = {row["session"]: row["elapsed"] for row in self.rows()}
        return sum({**ends, self.session: self.elapsed()}.values())
