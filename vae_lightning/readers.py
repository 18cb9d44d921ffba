"""Read files that may be damaged or come from someone else: the only readers of JSON, YAML and arrays, and a check for torch's.

Each checks three things before the content is used: that the file is an ordinary one (reading a FIFO would block forever, and a
device has no end), that it is no larger than such a file can be, and that it matches a schema. A RunError names the file.
"""

from __future__ import annotations

import json
import os
import pickletools
import re
import stat
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import msgspec
import yaml

from vae_lightning.errors import RunError, format_value, printable

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")
MB = 2**20
TEXT_LIMIT = MB  # bytes in a configuration or a job's state; real ones take about 10 kB
JSON_LIMIT = 64 * MB  # bytes in results.json or sweep.json, which hold lists over latent dimensions and jobs
ARRAYS_LIMIT = 1024 * MB  # bytes that the arrays of one file take in memory
DEEPEST, MOST_NODES = 40, 20_000  # limits for a YAML file: levels of nesting, and keys and values in total
MOST_IN_JSON = 1_000_000  # values of a JSON file, and commas in its texts: a list of one byte takes 60 bytes in memory
MOST_BITS = 1024  # limit for an integer: no float is larger
MOST_PARTS = 100_000  # files in an archive of torch, which writes one for each tensor
PICKLE_LIMIT, MOST_OPCODES = 32 * MB, 1_000_000  # of what it holds besides numbers; real ones have some 10 kB and 3,000
# what a pickle of tensors and plain data names; torch itself also allows `bytearray`, which takes any memory, and slow codecs
HARMLESS = re.compile(
    r"collections (OrderedDict|Counter)|(__builtin__|builtins) set|torch (Size|device)|torch\.nn\.parameter Parameter"
    r"|torch\._utils _rebuild_(tensor|tensor_v2|tensor_v3|parameter)|torch \w+Storage|torch\.storage \w+Storage"
    r"|torch (bool|b?float\d+\w*|u?int\d+|complex\d+)"
)
LONGEST_INTEGER = 17  # bytes: a seed has 128 bits; equal hashes of longer ones would make a dictionary of them slow


def read_bytes(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file of at most `limit` bytes.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: it is not an ordinary file, is larger, or cannot be read.
    """
    try:
        # without O_NONBLOCK, opening a FIFO waits for somebody to write to it
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}).") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise RunError(f"{path} is {_kind(status.st_mode)}, not an ordinary file, and is not read.")
        if status.st_size > limit:
            raise _too_large(path, status.st_size, limit)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read(limit + 1)
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}).") from error
    finally:
        os.close(descriptor)


def _too_large(path: Path, size: int, limit: int) -> RunError:
    return RunError(f"{path} has {size / MB:,.0f} MB, and such a file has at most {limit / MB:,.0f}: it is not read.")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "a special file")


def check_ordinary(path: Path, limit: int | None = None) -> None:
    """Check that `path`, which a library is about to open, is an ordinary file.

    Raises:
        RunError: it exists, but is not an ordinary file or is larger than `limit` bytes.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror}).") from error
    if not stat.S_ISREG(status.st_mode):
        raise RunError(f"{path} is {_kind(status.st_mode)}, not an ordinary file, and is not read.")
    if limit is not None and status.st_size > limit:
        raise _too_large(path, status.st_size, limit)


def read_text(path: Path, limit: int = TEXT_LIMIT) -> str:
    """Read a UTF-8 text file; raise RunError if it is not UTF-8 text, or if `read_bytes` does."""
    try:
        return read_bytes(path, limit).decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path} is damaged and cannot be read: it is not UTF-8 text.") from error


def read_json_as(path: Path, schema: type[T], limit: int = JSON_LIMIT) -> tuple[T, dict[str, Any]]:
    """Return a JSON file, checked against `schema` (a `msgspec.Struct`; further keys are allowed).

    Returns:
        The schema's object, and the whole content as plain data.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: it is not a JSON object, lacks a key, or has a value of the wrong type; NaN and infinity are not JSON.
    """
    content = _read_json(path, limit)
    try:
        whole = msgspec.json.decode(content, type=dict[str, Any])
        check_values(whole)
        return msgspec.convert(whole, schema), whole
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged and cannot be read: {one_reason(error)}.") from error


def read_json_with_nan(path: Path, limit: int = JSON_LIMIT) -> dict[str, Any]:
    """Return the object in a JSON file that this package wrote, in which the metrics of a diverged run may be NaN.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: it is damaged.
    """
    content = _read_json(path, limit)
    try:
        whole = msgspec.convert(json.loads(content), dict[str, Any])  # msgspec's own reader refuses NaN
        check_values(whole)
        return whole
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged and cannot be read: {one_reason(error)}.") from error


def _read_json(path: Path, limit: int) -> bytes:
    """Return the text of a JSON file. Raise RunError as `read_bytes` does, and if it holds too many values to make them all."""
    content = read_bytes(path, limit)
    if sum(map(content.count, (b",", b"[", b"{"))) > MOST_IN_JSON:
        raise RunError(f"{path} holds more than {MOST_IN_JSON:,} values, which no such file has, and is not read.")
    return content


def check_values(content: object) -> None:
    """Raise ValueError for an integer too large for a float, or text that is not Unicode: neither can be used."""
    if isinstance(content, dict):
        for key, value in content.items():
            check_values(key)
            check_values(value)
    elif isinstance(content, list):
        for value in content:
            check_values(value)
    elif isinstance(content, str):
        content.encode()  # UnicodeEncodeError, a ValueError, for half of a surrogate pair
    elif isinstance(content, int) and content.bit_length() > MOST_BITS:
        raise ValueError("it holds an integer that is too large")


def one_reason(error: Exception) -> str:
    """Put msgspec's message in a sentence: `test.elbo: expected float, got str`."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeEncodeError):
        return "it holds text that is not Unicode"
    text, _, place = str(error).partition(" - at `$")
    text = printable(text.replace("`", "").rstrip("."))[:200]  # it may quote text from the file
    place = place.rstrip("`").lstrip(".")
    return f"{format_value(place)}: {text[:1].lower()}{text[1:]}" if place else text[:1].lower() + text[1:]


def read_yaml(path: Path, limit: int = TEXT_LIMIT) -> Any:
    """Return the content of a YAML file as plain data. Aliases are refused: with them, a short text can expand without end.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: it is damaged, or has aliases, more than 40 levels or more than 20,000 values.
    """
    text = read_text(path, limit)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for count, event in enumerate(yaml.parse(text, loader)):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if isinstance(event, yaml.AliasEvent) or depth > DEEPEST or count > 2 * MOST_NODES:
                raise RunError(
                    f"{path} holds YAML aliases, more than {DEEPEST} levels or more than {MOST_NODES:,} values, and is not read."
                )
        content = yaml.load(text, loader)  # safe: the loader makes plain data only
        check_values(content)
        return content
    except RunError:
        raise
    except Exception as error:  # given a wrong value for a tag such as !!bool, PyYAML raises whatever its constructor does
        raise RunError(f"{path} is damaged and cannot be read: it is not YAML.") from error


def read_arrays(path: Path, limit: int = ARRAYS_LIMIT) -> dict[str, np.ndarray]:
    """Return the arrays of a NumPy `.npz` file by name. Pickled objects are refused.

    Raises:
        FileNotFoundError: there is no such file.
        RunError: it is damaged, or its arrays would take more than `limit` bytes in memory (a small file can hold large ones).
    """
    import numpy as np

    check_ordinary(path, limit)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
            if size > limit:
                raise RunError(f"{path} holds arrays of {size / MB:,.0f} MB, more than {limit / MB:,.0f}: it is not read.")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
        if not all(isinstance(value, np.ndarray) for value in found.values()):  # NumPy returns bytes for other files in it
            raise RunError(f"{path} is damaged and cannot be read: it holds more than arrays.")
        return found
    except (FileNotFoundError, RunError):
        raise
    except Exception as error:  # NumPy's parser of headers raises TokenError, IndentationError, TypeError, MemoryError …
        raise RunError(f"{path} is damaged and cannot be read.") from error


# -------------------------------------------------------------------- torch's files


def check_torch_file(path: Path, limit: int) -> None:
    """Check a file that `torch.save` has written before torch reads it: that it takes no more memory and time than it seems to.

    Args:
        path: an archive, as torch has written them since 1.6.
        limit: bytes that it may have.

    Raises:
        RunError: it is not an ordinary file, or is too large; its parts are compressed, overlap, or have the same name twice; or
            it holds more than tensors and plain data.
    """
    check_ordinary(path, limit)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            _check_parts(path, parts)
            (described,) = (part for part in parts if part.filename.rpartition("/")[2] == "data.pkl")
            if described.file_size > PICKLE_LIMIT:
                raise _too_large(path / "data.pkl", described.file_size, PICKLE_LIMIT)
            with archive.open(described) as file:
                check_pickle(path, file)
    except (FileNotFoundError, RunError):
        raise
    except Exception as error:  # random bytes can raise any exception in zipfile
        raise RunError(f"{path} is damaged and cannot be read.") from error


def begins_as_archive(path: Path) -> bool:
    """Whether torch would read a file as an archive; otherwise it tries its older formats, one of which unpacks files."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _check_parts(path: Path, parts: list[zipfile.ZipInfo]) -> None:
    reason = ""
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        reason = "its parts are compressed, which torch never does"
    elif len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > path.stat().st_size:
        reason = "its parts overlap or are too many"
    elif len({part.filename.lower() for part in parts}) != len(parts):  # torch does not tell small letters from capitals
        reason = "two of its parts have the same name"
    elif min((part.header_offset for part in parts), default=0) or not begins_as_archive(path):
        reason = "there are other bytes before the archive"  # which torch might read in place of what is checked here
    if reason:
        raise RunError(f"{path} is damaged or was changed: {reason}.")


def check_pickle(path: Path, file: IO[bytes]) -> None:
    """Check the next pickle of an open file without making what it describes.

    Raises:
        RunError: it names anything but tensors and plain data, or has too many parts, or integers of many digits.
    """
    for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
        named = opcode.name in ("GLOBAL", "INST") and not HARMLESS.fullmatch(str(argument))
        if named or opcode.name in ("STACK_GLOBAL", "EXT1", "EXT2", "EXT4"):
            raise RunError(f"{path} holds more than tensors and plain data (or is damaged), and is not read.")
        if count > MOST_OPCODES or (isinstance(argument, int) and argument.bit_length() > 8 * LONGEST_INTEGER):
            raise RunError(f"{path} is damaged or was changed: it holds too many values, or too large ones.")
