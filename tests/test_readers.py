"""Files that are damaged or absurd end in one sentence, whoever reads them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vae_lightning.errors import RunError
from vae_lightning.readers import check_values, read_arrays, read_json_as, read_json_with_nan, read_yaml


@pytest.mark.parametrize("value", [2**1024, -(2**2000), "a\ud800", {"a\udfff": 1}, [{"a": [2**5000]}], {"a": ["\ud800"]}])
def test_what_cannot_be_shown_or_computed_with_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"too large|surrogates not allowed"):
        check_values(value)


def test_ordinary_values_pass() -> None:
    check_values({"a": [1, 2**1023, 1e308, float("nan"), None, True, "日本語 😀"]})


@pytest.mark.parametrize(
    "text",
    [
        "a: !!bool maybe", "a: !!int ''", "a: !!float ''", "a: !!timestamp x", "a: 2001-99-99", "? [a]\n: 1", "a: !!binary x",
        "a: {<<: 3}", "a: !!omap [1]", "a: !!pairs 3", "a: 0x" + "f" * 6000, "a: [", "a: !!python/object:os.system x", "a: \x00",
        "a: " + ":".join(["59"] * 400), "&a a: *b",
    ],
)  # fmt: skip
def test_a_damaged_yaml_file_ends_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(RunError, match=r"config\.yaml"):
        read_yaml(path)


@pytest.mark.parametrize("text", ['{"a": 1' + "0" * 400 + "}", '{"a": "\\ud800"}', "[" * 100_000, "[1]", '{"a": }', "\xff"])
def test_a_damaged_json_file_ends_in_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(RunError, match=r"results\.json is damaged"):
        read_json_with_nan(path)
    with pytest.raises(RunError, match=r"results\.json is damaged"):
        read_json_as(path, dict)


def test_the_metrics_of_a_diverged_run_may_be_nan(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"elbo": float("nan")}))
    assert np.isnan(read_json_with_nan(path)["elbo"])


def archive(header: str) -> bytes:
    """An .npz with one array under this header of NumPy's format."""
    text = f"{header}\n".encode()
    array = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(16)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("a.npy", array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', (", "  a\n b", "{[]: 1}", "{1: 2, 'a': 3}", "", "{'descr': '<f8'}", "\x00",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000000000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-5,)}",
        "{'descr': [('a', '<f8', -1)], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': (1,), 'fortran_order': False, 'shape': (1,)}", "{'descr': (), 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", "{'descr': '<f8', 'fortran_order': False, 'shape': (9,)}",
    ],
)  # fmt: skip
def test_a_damaged_header_of_an_array_ends_in_a_sentence(tmp_path: Path, header: str) -> None:
    path = tmp_path / "000001.npz"
    path.write_bytes(archive(header))
    with pytest.raises(RunError, match=r"000001\.npz"):
        read_arrays(path)


def test_an_archive_of_something_else_than_arrays_ends_in_a_sentence(tmp_path: Path) -> None:
    """A checkpoint, for example: NumPy returns the bytes of files that it does not know."""
    path = tmp_path / "000001.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("archive/data.pkl", b"x")
    with pytest.raises(RunError, match="it holds more than arrays"):
        read_arrays(path)
