"""Sets values in a manifest's text and leaves every other character as it is.

No YAML library writes a file back as it found it (aligned columns, quotes, blank lines), so values
are spliced in at the positions that the tree gives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.errors import ManifestError
from pipeline.manifest.overrides import Override, step_name
from pipeline.manifest.registry import step_labels
from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import ListNode, MapNode, Node, Scalar, SourceText

# Text that needs no quotes anywhere, and words that without quotes are no text.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NO_TEXT: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


def with_value(text: str, override: Override) -> str:
    """``text`` of a manifest with one value set. Raises ManifestError when it is no
    YAML."""
    keys = [key.text for key in override.keys]
    root, problems = read_tree(SourceText("", text))
    if root is None or problems:
        raise ManifestError(problems)
    edit = _Editor(text, emit(override.value)).set_below(root, keys, after=0, is_root=True)
    return text[: edit.start] + edit.text + text[edit.end :]


def emit(node: Node) -> str:
    """A value on one line, as it may stand inside braces too."""
    if isinstance(node, ListNode):
        return f"[{', '.join(emit(item) for item in node.items)}]"
    if isinstance(node, MapNode):
        pairs = (f"{_quoted(key, True)}: {emit(e.value)}" for key, e in node.entries.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(node.value, str):
        return _quoted(node.text, node.plain)
    return node.text or "null"


def _quoted(text: str, plain: bool) -> str:
    if plain and _PLAIN.fullmatch(text) and text.lower() not in _NO_TEXT:
        return text
    if text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}
    return '"' + "".join(escapes.get(c) or _escaped(c) for c in text) + '"'


def _escaped(character: str) -> str:
    return character if character.isprintable() else f"\\U{ord(character):08x}"


@dataclass(frozen=True)
class _Edit:
    """``text`` in place of the characters from ``start`` to ``end``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class _Editor:
    """Sets ``value``, which is YAML on one line, in ``text``."""

    text: str
    value: str

    def set_below(
        self, node: Node, keys: Sequence[str], after: int, is_root: bool = False
    ) -> _Edit:
        """The edit that sets the value at ``keys`` below ``node``, whose key ends at ``after``."""
        if not keys:
            return self.replaced(node, self.value, after)
        key, *rest = keys
        if isinstance(node, MapNode):
            entry = node.entries.get(key)
            if entry is None:
                return self.added(node, key, self.nested(rest))
            if is_root and key == "steps" and rest and isinstance(entry.value, ListNode):
                return self.in_step(entry.value, rest)
            return self.set_below(entry.value, rest, entry.key_end)
        if isinstance(node, ListNode):
            return self.set_below(node.items[int(key)], rest, after)
        return self.replaced(node, self.nested(keys), after)

    def in_step(self, steps: ListNode, keys: Sequence[str]) -> _Edit:
        """``keys`` begin with a step's label."""
        item = steps.items[step_labels(map(step_name, steps.items)).index(keys[0])]
        if isinstance(item, MapNode):
            entry = item.entries[step_name(item)]
            return self.set_below(entry.value, keys[1:], entry.key_end)
        return _Edit(item.end, item.end, f": {self.nested(keys[1:])}")

    def nested(self, keys: Sequence[str]) -> str:
        """The value below mappings that are not there yet."""
        inner = self.value
        for key in reversed(keys):
            inner = f"{{{_quoted(key, True)}: {inner}}}"
        return inner

    def replaced(self, node: Node, value: str, after: int) -> _Edit:
        """``value`` in place of all that ``node`` is."""
        start = node.place.index
        if isinstance(node, Scalar):
            if not node.is_absent:
                return _Edit(start, node.end, value)
            colon = re.compile(r"[ \t]*:").match(self.text, after)
            at = colon.end() if colon else after
            return _Edit(at, at, f" {value}" if colon else f": {value}")
        if not node.in_brackets and (line_end := self.line_end(after)) < start:
            # The block goes; what stands beside its key (a comment) stays.
            colon_end = self.text.index(":", after) + 1
            return _Edit(colon_end, node.end, f" {value}{self.text[colon_end:line_end]}")
        return _Edit(start, node.end, value)

    def added(self, node: MapNode, key: str, value: str) -> _Edit:
        """Another key behind the others."""
        pair = f"{_quoted(key, True)}: {value}"
        if not node.entries:
            at = node.place.index + 1
            return _Edit(at, at, pair)
        first, *_, last = [*node.entries.values(), *node.entries.values()]
        end = max(last.key_end, last.value.end)
        if node.in_brackets:
            return _Edit(end, end, f", {pair}")
        at = self.line_end(end)
        newline = "\r\n" if "\r\n" in self.text else "\n"
        return _Edit(at, at, f"{newline}{' ' * (first.place.column - 1)}{pair}")

    def line_end(self, index: int) -> int:
        found = re.compile(r"\r?\n|\Z").search(self.text, index)
        assert found is not None, "every text has an end"
        return found.start()
