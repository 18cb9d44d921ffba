"""Texts of NumPy's errors that have no class of their own. Read: NumPy 2.4. Elsewhere: the file is called damaged."""

from __future__ import annotations


def is_pickled(error: BaseException) -> bool:
    """Whether NumPy refuses to read an array because it holds Python objects, which only pickle can read."""
    return isinstance(error, ValueError) and "allow_pickle" in str(error)
