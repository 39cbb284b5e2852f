"""A view of some items that hardly anybody will look at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

import attrs

S = TypeVar("S")
T = TypeVar("T")


@attrs.frozen(eq=False)
class Lazily(Sequence[T], Generic[S, T]):
    """What is made of each item, made when somebody asks for it."""

    _items: Sequence[S]
    _make: Callable[[S], T]

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[T]: ...

    def __getitem__(self, index: int | slice) -> T | Sequence[T]:
        if isinstance(index, slice):
            return Lazily(self._items[index], self._make)
        return self._make(self._items[index])
