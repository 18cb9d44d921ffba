"""A run is the user's own if its configuration has a signature made with the user's key."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from vae_lightning.errors import UserError
from vae_lightning.runs import signature
from vae_lightning.runs.signature import KEY_BYTES, is_own, key_path, own_key, signed, unsigned


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "mine"))
    return tmp_path / "mine"


TEXT = "name: a\nbeta: 1.0\n"


def test_what_is_signed_is_ones_own() -> None:
    text = signed(TEXT)
    assert text.startswith(TEXT)
    assert is_own(text)
    assert unsigned(text) == TEXT
    assert signed(text) == text


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("beta: 1.0", "beta: 2.0"),
        lambda text: unsigned(text),
        lambda text: text[:-2] + ("1\n" if text[-2] == "0" else "0\n"),
        lambda text: text + "name: b\n",
        lambda text: text.replace("# signature: ", "# signature:"),
        lambda text: "",
    ],
)
def test_what_was_changed_is_foreign(change: object) -> None:
    text = change(signed(TEXT))  # type: ignore[operator]
    assert text != signed(TEXT)
    assert not is_own(text)


def test_what_another_user_signed_is_foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = signed(TEXT)
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "theirs"))
    assert not is_own(text)
    assert is_own(signed(TEXT))


def test_the_key_is_made_once_and_readable_by_its_owner_alone(home: Path) -> None:
    key = own_key()
    assert key is not None
    assert len(key) == KEY_BYTES
    assert key_path() == home / "run_key"
    if os.name == "posix":
        assert stat.S_IMODE(key_path().stat().st_mode) == 0o600
    signature._key_of.cache_clear()
    assert own_key() == key
    assert key.hex() not in signed(TEXT)
    assert [path.name for path in home.iterdir()] == ["run_key"]


def test_a_damaged_key_is_replaced(home: Path) -> None:
    home.mkdir()
    (home / "run_key").write_bytes(b"short")
    assert is_own(signed(TEXT))
    assert len((home / "run_key").read_bytes()) == KEY_BYTES


def test_without_a_place_for_a_key_nothing_is_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", str(tmp_path / "file" / "below"))
    assert signed(TEXT) == TEXT
    assert not is_own(TEXT)


def test_a_folder_that_nobody_can_look_up_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAE_LIGHTNING_CONFIG", "~nosuchuser/x")
    with pytest.raises(UserError, match="VAE_LIGHTNING_CONFIG=~nosuchuser/x cannot be accessed"):
        own_key()


def test_a_user_without_a_home_has_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("VAE_LIGHTNING_CONFIG", "XDG_CONFIG_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert own_key() is None
