"""Who owns a run: the user, if its `config.yaml` has a signature made with a key in the user's own configuration folder.

Jupyter decides in the same way which notebooks to trust. The configuration of a run is signed when it is written, and the
signature is checked when it is read, without asking the user. A run without a valid signature of this user on this machine is
foreign: `runs.trust` says what that means. The run folder holds no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sys
from functools import cache
from pathlib import Path
from typing import Any

from vae_lightning.files import atomic_write, user_path

MARK = "# signature: "
KEY_BYTES = 32
SIGNATURE = "signature"


def signed(text: str) -> str:
    """Return the text of a YAML file with a signature as its last line; unchanged if no key can be stored."""
    key = own_key()
    body = unsigned(text)
    return body if key is None else f"{body}{MARK}{_digest(key, body)}\n"


def unsigned(text: str) -> str:
    """Return the text without its signature, ending in a line break."""
    lines = text.splitlines(keepends=True)
    body = "".join(lines[:-1] if lines and lines[-1].startswith(MARK) else lines)
    return body if body.endswith("\n") or not body else body + "\n"


def is_own(text: str) -> bool:
    """Whether the text has a signature made with this user's key."""
    key, lines = own_key(), text.splitlines()
    if key is None or not lines or not lines[-1].startswith(MARK):
        return False
    return hmac.compare_digest(lines[-1].removeprefix(MARK).strip().encode(), _digest(key, unsigned(text)).encode())


def _digest(key: bytes, body: str) -> str:
    return hmac.new(key, body.encode(), hashlib.sha256).hexdigest()


def own_key() -> bytes | None:
    """Return this user's key, made when first needed; None if it can be neither read nor written."""
    try:
        path = key_path()
    except RuntimeError:  # a user without a home folder, as in some containers
        return None
    return _key_of(path)


def key_path() -> Path:
    """Return the path of `run_key`: in `VAE_LIGHTNING_CONFIG`, else in the system's folder for the user's configuration."""
    given = os.environ.get("VAE_LIGHTNING_CONFIG")
    if given:
        return user_path("VAE_LIGHTNING_CONFIG", given) / "run_key"
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "vae_lightning" / "run_key"


@cache
def _key_of(path: Path) -> bytes | None:
    try:
        key = _read(path)
        return _make(path) if key is None else key
    except OSError:  # the folder cannot be written
        return None


def _read(path: Path) -> bytes | None:
    if not path.is_file():
        return None
    key = path.read_bytes()
    return key if len(key) == KEY_BYTES else None


def _make(path: Path) -> bytes | None:
    """Make a new key that only its owner can read. If two processes make one at once, both get the same."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with atomic_write(path, private=True, keep_existing=not path.exists()) as file:  # one that exists is damaged
        file.write(secrets.token_bytes(KEY_BYTES))
    return _read(path)


def sign_json(content: dict[str, Any]) -> dict[str, Any]:
    """Return `content` with a signature of it under the key `signature`; without one if no key can be stored."""
    key, rest = own_key(), _without_signature(content)
    return rest if key is None else {**rest, SIGNATURE: _digest(key, _canonical(rest))}


def is_own_json(content: dict[str, Any]) -> bool:
    """Whether the entry `signature` of `content` was made with this user's key."""
    key, given = own_key(), content.get(SIGNATURE)
    if key is None or not isinstance(given, str):
        return False
    return hmac.compare_digest(given.encode(), _digest(key, _canonical(_without_signature(content))).encode())


def _without_signature(content: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in content.items() if name != SIGNATURE}


def _canonical(content: dict[str, Any]) -> str:
    """Return the same text for the same content, whatever the layout of its file; it begins unlike any YAML that is signed."""
    return "{json}" + json.dumps(content, sort_keys=True, separators=(",", ":"))
