"""`lazy`: an attribute that is worked out when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")


class cached(Generic[T]):  # read as @property and @cached_property are
    """As `functools.cached_property`, without the lock that Python 3.11 has around it and torch's compiler cannot read.

    (`torch.distributions.utils.lazy_property` would switch gradients on, in evaluation too.)
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
        setattr(instance, self.name, value)  # found before this descriptor from now on
        return value
