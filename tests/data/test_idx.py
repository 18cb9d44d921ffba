from __future__ import annotations

import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from vae_lightning.data.idx import find_idx, read_idx
from vae_lightning.errors import UserError

ARRAY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
WHOLE = b"\x00\x00\x08\x03" + struct.pack(">3I", 2, 3, 4) + ARRAY.tobytes()


@pytest.mark.parametrize("name", ["images", "images.gz", "images.idx"])
@pytest.mark.parametrize("packed", [False, True])
def test_the_first_bytes_tell_whether_it_is_gzipped(tmp_path: Path, name: str, packed: bool) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(WHOLE) if packed else WHOLE)
    assert np.array_equal(read_idx(path), ARRAY)


@pytest.mark.parametrize(
    "name", ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"]
)
def test_files_are_found_under_the_names_that_programs_unpack_them_to(tmp_path: Path, name: str) -> None:
    wanted = tmp_path / "train-images-idx3-ubyte"
    assert find_idx(wanted) is None
    (tmp_path / name).touch()
    assert find_idx(wanted) == tmp_path / name


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "images"
    path.write_bytes(WHOLE)
    assert np.array_equal(read_idx(path), ARRAY)
    path.write_bytes(b"\x00\x00\x08\x01" + struct.pack(">I", 3) + b"\x07\x02\x01")
    assert read_idx(path).tolist() == [7, 2, 1]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not an IDX file"),
        (WHOLE[:3], "is not an IDX file"),
        (WHOLE[:10], "is not an IDX file"),
        (b"\x1f\x8b" + WHOLE[2:], "is damaged"),
        (WHOLE[:2] + b"\x0d" + WHOLE[3:], "is not an IDX file of unsigned bytes"),
        (WHOLE[:16], "promises 24 bytes, but only 0 are present"),
        (WHOLE[:-1], "promises 24 bytes, but only 23 are present"),
        (WHOLE + b"\x00", "promises 24 bytes, but more are present"),
        (WHOLE[:4] + b"\xff" * 12 + WHOLE[16:], f"promises {(2**32 - 1) ** 3} bytes"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(UserError, match=re.escape(str(path)) + ".*" + re.escape(reason)):
        read_idx(path)
