"""Generators that return a value beside what they yield."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Returning(Generic[T]):
    """Iterates once and keeps what a generator returned as ``value``; None for other iterables."""

    value: str | None = None

    def __init__(self, items: Iterable[T]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[T]:
        if isinstance(self._items, Generator):
            self.value = yield from self._items
        else:
            yield from self._items
