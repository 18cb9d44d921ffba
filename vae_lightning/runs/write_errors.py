"""The error if a command cannot write its files. Imports no torch."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vae_lightning.config.private_apis import quoted_disk_error
from vae_lightning.errors import STANDARD_OUTPUT, RunError, UserError, no_room_message


@contextmanager
def explain_write_errors(path: Path, key: str | None = None) -> Iterator[None]:
    """Turn a disk error while this block writes `path` into a sentence.

    Args:
        path: the file or folder that the block writes.
        key: the key on the command line that can name another place.

    Raises:
        RunError: the disk is full, the folder is read-only, or a file is in the way.
    """
    try:
        yield
    except Exception as error:
        cause = None if isinstance(error, UserError) else disk_error(error)
        if cause is None:
            raise
        if cause.filename == STANDARD_OUTPUT:
            raise RunError(no_room_message(cause)) from error
        where = Path(str(cause.filename)) if cause.filename and not str(cause.filename).endswith(".tmp") else path
        full = cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = "free some space on that disk" if full else "check its permissions and its folder"
        elsewhere = f", or set {key} to another place" if key else ""
        raise RunError(f"{where} cannot be written ({cause.strerror or type(cause).__name__}): {remedy}{elsewhere}.") from error


def disk_error(error: BaseException) -> OSError | None:
    """Return the disk error that an exception is or was caused by; libraries in C++ and Rust only give its number."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError):
            return found
        found = found.__cause__ or found.__context__
    return quoted_disk_error(error)
