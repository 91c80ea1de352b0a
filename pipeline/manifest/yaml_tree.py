"""YAML 1.2 as a tree of nodes that know where in the text they stand.

``yaml_reader`` makes the tree, ``validation`` ties complaints to its places, and ``yaml_editor``
sets values in the text that it was read from.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, cast

from pipeline.errors import LocatedProblem
from pipeline.manifest.wording import printable, show_text

if TYPE_CHECKING:
    from pydantic import JsonValue

NOTHING = "nothing"  # a value that is left out, in messages
MAX_SNIPPET = 160  # characters; beyond it a caret would not stay under its column

# Lines end as the specification says, not as str.splitlines does.
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, eq=False)
class SourceText:
    """A manifest, or one ``--set``; ``name`` is what users see."""

    name: str
    text: str

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end.end() for end in _LINE_END.finditer(self.text))]

    def place(self, index: int) -> Place:
        """The place of the character at ``index``, or of the end of the text."""
        index = min(index, len(self.text))
        line = bisect_right(self._starts, index)
        return Place(self, line, index - self._starts[line - 1] + 1)

    def start(self, line: int) -> int:
        """Where ``line`` (from 1) begins."""
        return self._starts[line - 1]

    def line(self, number: int) -> str:
        """Line ``number`` (from 1) made safe for a terminal; every character stays one wide."""
        start = self.start(number)
        end = _LINE_END.search(self.text, start)
        text = self.text[start : end.start() if end else len(self.text)]
        if len(text) > MAX_SNIPPET:
            text = text[: MAX_SNIPPET - 1] + "…"
        return printable(text.replace("\t", " "))


@dataclass(frozen=True)
class Place:
    """Line and column (from 1, in characters) within a text."""

    source: SourceText
    line: int
    column: int

    @property
    def index(self) -> int:
        """The number of characters before it."""
        return self.source.start(self.line) + self.column - 1

    def problem(self, code: str, message: str, hint: str = "") -> LocatedProblem:
        snippet = self.source.line(self.line) if self.column < MAX_SNIPPET else ""
        return LocatedProblem(
            self.source.name, self.line, self.column, code, message, snippet, hint
        )


# In all nodes ``end`` is the index behind the last character of the node's own text.


@dataclass(frozen=True)
class Scalar:
    """``text`` is as written; ``broken`` means that a problem was already reported here."""

    place: Place
    text: str = ""
    value: bool | int | float | str | None = None
    plain: bool = True
    broken: bool = False
    references: Mapping[str, str] = field(default_factory=dict)  # environment variables in it
    end: int = 0

    @property
    def is_absent(self) -> bool:
        """Whether nothing at all is written where the value would stand."""
        return self.plain and not self.text


@dataclass(frozen=True)
class ListNode:
    """``in_brackets`` distinguishes ``[a, b]`` from items on lines of their own."""

    place: Place
    items: tuple[Node, ...]
    in_brackets: bool = False
    end: int = 0


@dataclass(frozen=True)
class Entry:
    """``place`` is the key's, ``key_end`` the index behind its last character."""

    place: Place
    value: Node
    key_end: int = 0


@dataclass(frozen=True)
class MapNode:
    """``in_brackets`` distinguishes ``{a: b}`` from entries on lines of their own."""

    place: Place
    entries: Mapping[str, Entry]
    in_brackets: bool = False
    end: int = 0


Node = Scalar | ListNode | MapNode


def to_json(node: Node, *, as_written: bool = False) -> JsonValue:
    """The plain value. ``as_written`` keeps ``${env:NAME}`` where the rest sees its value."""
    if isinstance(node, MapNode):
        return {
            key: to_json(entry.value, as_written=as_written) for key, entry in node.entries.items()
        }
    if isinstance(node, ListNode):
        return [to_json(item, as_written=as_written) for item in node.items]
    return node.text if as_written and node.references else node.value


def scalars(node: Node) -> Iterator[Scalar]:
    """All scalars below ``node``, in order."""
    if isinstance(node, Scalar):
        yield node
    elif isinstance(node, ListNode):
        for item in node.items:
            yield from scalars(item)
    else:
        for entry in node.entries.values():
            yield from scalars(entry.value)


@dataclass(frozen=True)
class Spot:
    """Where a path leads: ``key`` is the place of the key or item, ``path`` what was followed.

    ``branch`` is the length of ``path`` at the first element that leads nowhere in the tree: the
    name of a union's branch, or of a missing field. None when every element was followed;
    ``skipped`` counts the others.
    """

    key: Place
    node: Node
    path: tuple[str | int, ...]
    branch: int | None
    skipped: int = 0

    @property
    def place(self) -> Place:
        """The value's place; for a block on lines of its own that of its key."""
        is_block = not isinstance(self.node, Scalar) and self.node.place.line != self.key.line
        empty = isinstance(self.node, Scalar) and self.node.value is None and not self.node.text
        return self.key if is_block or empty else self.node.place

    @property
    def broken(self) -> bool:
        return any(scalar.broken for scalar in scalars(self.node))


def find(root: Node, at: Place, path: Sequence[str | int]) -> Spot:
    """Follow ``path`` from ``root``, whose key is ``at``, skipping what is not in the tree."""
    key, node = at, root
    followed: list[str | int] = []
    branch, skipped = None, 0
    for element in path:
        if isinstance(node, MapNode) and element in node.entries:
            entry = node.entries[cast(str, element)]
            key, node = entry.place, entry.value
        elif isinstance(node, ListNode) and isinstance(element, int) and element < len(node.items):
            node = node.items[element]
            key = node.place
        else:
            branch = len(followed) if branch is None else branch
            skipped += 1
            continue
        followed.append(element)
    return Spot(key, node, tuple(followed), branch, skipped)


def show(node: Node) -> str:
    """A value as the manifest writes it; never what an environment variable holds."""
    if isinstance(node, MapNode):
        return "a mapping" if node.entries else "an empty mapping"
    if isinstance(node, ListNode):
        return "a list" if node.items else "an empty list"
    if node.value is None:
        return NOTHING
    if isinstance(node.value, str):
        return show_text(node.text)
    return node.text[:60]


def must_be(subject: str, expected: str, got: str) -> str:
    """A sentence for a value that is another than ``expected``; ``got`` comes from ``show``."""
    if got == NOTHING:
        return f"{subject} must be {expected}, and nothing is written there"
    return f"{subject} must be {expected}, not {got}"
