"""Reads YAML 1.2 into a tree of nodes.

Only what a manifest needs: mappings with text keys, lists, and scalars of the core schema
(https://yaml.org/spec/1.2.2/, section 10.3). No Python object is ever constructed. Tags, anchors,
aliases, merge keys, duplicate keys, several documents and numbers that readers disagree on are
refused, and so is anything larger than the limits below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from pipeline.errors import LocatedProblem
from pipeline.manifest.syntax_errors import syntax_problem
from pipeline.manifest.wording import show_text
from pipeline.manifest.yaml_tree import Entry, ListNode, MapNode, Node, Place, Scalar, SourceText

MAX_BYTES = 2**20
MAX_NODES = 20_000
MAX_DEPTH = 32
MAX_PROBLEMS = 20  # of one text; reading stops there
MAX_INTEGER = 2**63 - 1

# Not printable (5.1), or taken for a line end by YAML 1.1 alone, or half a character.
_UNPRINTABLE = re.compile(
    "[^\t\r\n\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\U0010ffff]"
)
_UNUSABLE = re.compile("[\0\ud800-\udfff]")

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_SWITCHES = ("true", "True", "TRUE", "false", "False", "FALSE")
_BOOL = {text: text.lower() == "true" for text in _SWITCHES}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")


def read_tree(source: SourceText, start: int = 0) -> tuple[Node | None, list[LocatedProblem]]:
    """The tree of ``source.text[start:]`` and what is wrong with it.

    The tree is None when the text has no YAML structure; otherwise wrong places are ``broken`` or
    left out, so that the rest can still be checked.
    """
    builder = _Builder(source, start)
    try:
        return builder.document(), builder.problems
    except _StopError:
        return None, builder.problems


class _StopError(Exception):
    """Reading cannot go on; the reason is among the problems."""


class _Builder:
    def __init__(self, source: SourceText, start: int) -> None:
        self.source = source
        self.start = start
        self.problems: list[LocatedProblem] = []
        self.nodes = 0
        self.last = start
        self.closing = 0  # where the list or mapping that was closed last ends
        self.stream = self._events()

    def document(self) -> Node | None:
        for match in _UNPRINTABLE.finditer(self.source.text, self.start):
            self.report(
                self.source.place(match.start()),
                "unprintable-character",
                f"the character U+{ord(match[0]):04X} may not stand in YAML",
                "delete it, or write it as an escape in double quotes",
            )
        if self.problems:
            raise _StopError
        next(self.stream)
        event = next(self.stream)
        if not isinstance(event, DocumentStartEvent):
            return None
        if event.version not in (None, (1, 2)):
            self.report(
                self.place(event),
                "yaml-version",
                "manifests are YAML 1.2",
                "delete the %YAML line",
            )
        root = self.node(next(self.stream), 1)
        next(self.stream)
        event = next(self.stream)
        if isinstance(event, DocumentStartEvent):
            self.stop(
                self.place(event),
                "second-document",
                "a second document begins here, and a manifest is one",
                "delete this line, or what follows into a manifest of its own",
            )
        return root

    def _events(self) -> Iterator[Event]:
        try:
            for event in YAML(typ="safe", pure=True).parse(self.source.text[self.start :]):
                self.last = self.start + event.start_mark.index
                yield event
        except MarkedYAMLError as error:
            self.problems.append(syntax_problem(error, self.source, self.start))
            raise _StopError from None
        except (YAMLError, ValueError, OverflowError):
            # ruamel lets chr() fail on an escape beyond the last character.
            self.stop(
                self.source.place(self.last),
                "yaml-syntax",
                "what begins here cannot be read",
                "look for a wrong escape",
            )

    def place(self, event: Event) -> Place:
        return self.source.place(self.start + event.start_mark.index)

    def end(self, event: Event) -> int:
        """The index behind the event's own text; comments and line ends after it do not count."""
        start: int = self.start + event.start_mark.index
        end = self.start + event.end_mark.index
        return start + len(self.source.text[start:end].rstrip())

    def report(self, place: Place, code: str, message: str, hint: str = "") -> None:
        self.problems.append(place.problem(code, message, hint))
        if len(self.problems) == MAX_PROBLEMS:
            message = "reading stopped here: there may be more problems than these"
            self.stop(place, "too-many-problems", message)

    def stop(self, place: Place, code: str, message: str, hint: str = "") -> None:
        self.problems.append(place.problem(code, message, hint))
        raise _StopError

    def node(self, event: Event, depth: int) -> Node:
        place = self.place(event)
        self.nodes += 1
        if self.nodes > MAX_NODES:
            self.stop(place, "too-large", f"the text has more than {MAX_NODES:,} values")
        if depth > MAX_DEPTH:
            self.stop(place, "too-deep", f"this is nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, AliasEvent):
            self.report(
                place,
                "alias",
                f"aliases are not supported: {show_text('*' + event.anchor)}",
                "repeat the value; quote text that begins with *",
            )
            return Scalar(place, broken=True)
        tagged = self.decorated(event, place)
        node = self.content(event, place, depth)
        return Scalar(place, broken=True) if tagged else node

    def content(self, event: Event, place: Place, depth: int) -> Node:
        if isinstance(event, SequenceStartEvent):
            items = tuple(self.node(item, depth + 1) for item in self.until(SequenceEndEvent))
            last = max((item.end for item in items), default=0)
            end = self.closing if event.flow_style else last
            return ListNode(place, items, bool(event.flow_style), end)
        if isinstance(event, MappingStartEvent):
            return self.mapping(event, place, depth)
        return self.scalar(event, place)

    def decorated(self, event: Any, place: Place) -> bool:
        """Whether the node has a tag; tags and anchors are reported."""
        if event.anchor is not None:
            self.report(
                place,
                "anchor",
                f"anchors are not supported: {show_text('&' + event.anchor)}",
                "repeat the value; quote text that begins with &",
            )
        if event.ctag is not None:
            self.report(
                place,
                "tag",
                f"tags are not supported: {show_text(str(event.ctag))}",
                "delete it; quote text that begins with !",
            )
        return event.ctag is not None

    def until(self, end: type[Event]) -> Iterator[Event]:
        while not isinstance(event := next(self.stream), end):
            yield event
        self.closing = self.end(event)

    def mapping(self, start: Any, place: Place, depth: int) -> MapNode:
        entries: dict[str, Entry] = {}
        last = 0
        for event in self.until(MappingEndEvent):
            before = len(self.problems)
            key = self.node(event, depth + 1)
            value = self.node(next(self.stream), depth + 1)
            last = max(key.end, value.end)
            if len(self.problems) > before and not isinstance(key, Scalar):
                continue
            if not isinstance(key, Scalar) or not isinstance(key.value, str):
                if not (isinstance(key, Scalar) and key.broken):
                    self.bad_key(key)
            elif key.plain and key.value == "<<":
                self.report(
                    key.place,
                    "merge-key",
                    "merge keys (<<) are not supported",
                    "write the fields out",
                )
            elif first := entries.get(key.value):
                at = f"line {first.place.line}, column {first.place.column}"
                self.report(
                    key.place,
                    "duplicate-key",
                    f"{show_text(key.value)} is already set at {at}",
                    "delete one of the two",
                )
            else:
                entries[key.value] = Entry(key.place, value, key.end)
        return MapNode(
            place, entries, bool(start.flow_style), self.closing if start.flow_style else last
        )

    def bad_key(self, key: Node) -> None:
        if isinstance(key, Scalar) and key.text:
            hint = f'quote it: "{key.text}"'
        else:
            hint = "write a name before the colon"
        self.report(key.place, "key-not-text", "keys are text", hint)

    def scalar(self, event: Any, place: Place) -> Scalar:
        text = str(event.value)
        if _UNUSABLE.search(text):
            self.report(
                place,
                "unusable-character",
                "an escape in this text gives NUL or half a surrogate pair",
                "delete the escape",
            )
            return Scalar(place, broken=True)
        if event.style is not None or event.ctag is not None:
            return Scalar(place, text, text, plain=False, end=self.end(event))
        return replace(self.resolved(text, place), end=self.end(event))

    def resolved(self, text: str, place: Place) -> Scalar:
        """A plain scalar by the core schema."""
        value: bool | int | float | str | None = text
        problem: tuple[str, ...] = ()
        if text in _NULL:
            value = None
        elif text in _BOOL:
            value = _BOOL[text]
        elif _LEADING_ZERO.fullmatch(text):
            digits = text.lstrip("+-0") or "0"
            problem = (
                "leading-zero",
                f"{show_text(text)} is octal to some readers of YAML",
                f'write {digits}, or "{text}" if it is text',
            )
        elif _NOT_FINITE.fullmatch(text):
            problem = ("not-finite", f"{text} is not a finite number", "")
        elif _INTEGER.fullmatch(text):
            value = _integer(text)
            if value is None:
                problem = (
                    "too-large-number",
                    f"{show_text(text)} does not fit 64 bits",
                    "quote it if it is text",
                )
        elif _FLOAT.fullmatch(text):
            value = float(text)
            if value in (float("inf"), float("-inf")):
                problem = ("too-large-number", f"{show_text(text)} is beyond 64-bit floats", "")
        if problem:
            self.report(place, *problem)
            return Scalar(place, text, broken=True)
        return Scalar(place, text, value)


def _integer(text: str) -> int | None:
    """None when it does not fit 64 bits; the length is looked at before the digits are."""
    if len(text) > 32:
        return None
    value = int(text, 0)
    return value if abs(value) <= MAX_INTEGER else None
