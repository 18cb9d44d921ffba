"""`cached`: an attribute that is computed on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached(Generic[T]):  # lower case, like @property and @cached_property
    """Like `functools.cached_property`, but without the lock of Python 3.11, which torch's compiler cannot trace.

    (`torch.distributions.utils.lazy_property` would turn gradients on, also in evaluation.)
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        if instance is None:
            return self
        value = self.function(instance)
        setattr(instance, self.name, value)  # from now on found before this descriptor
        return value
