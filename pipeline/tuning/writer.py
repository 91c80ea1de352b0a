"""Sets values in a manifest's text and leaves every other character as it is.

No YAML library writes a file back as it found it (aligned columns, quotes, blank lines), so values
are spliced in at the positions that the parser gives.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import JsonValue
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

from pipeline.errors import ManifestError, Refusal
from pipeline.manifest import load_manifest
from pipeline.manifest.overrides import Override, parse_override
from pipeline.manifest.registry import step_labels
from pipeline.manifest.yaml_tree import ListNode, MapNode, Node

_BOM: Final = "\ufeff"
# Text that needs no quotes anywhere, and words that without quotes are no text.
_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_NO_TEXT: Final = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))


def write_values(path: Path, overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Write ``--set`` values into the manifest file; (line before, line after) that changed.

    The new text must read as the manifest with these overrides does, and be valid, before it
    replaces the file in one step. Raises Refusal when it would not or the file cannot be written,
    ManifestError when an override is wrong.
    """
    wanted = load_manifest(path, overrides)
    target = path.resolve()  # a link stays a link
    raw = target.read_bytes().decode("utf-8")
    bom, text = (_BOM, raw[1:]) if raw.startswith(_BOM) else ("", raw)
    new = text
    for number, override in enumerate(overrides, 1):
        new = with_value(new, parse_override(number, override))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.yaml")
    try:
        temporary.write_bytes((bom + new).encode())
        if _values(temporary) != wanted.values:
            message = f"{path} is written in a way that --write cannot edit"
            raise Refusal("cannot-write", message, "set the values by hand; nothing was changed")
        shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise Refusal("manifest-not-writable", message, "nothing was changed") from error
    finally:
        temporary.unlink(missing_ok=True)
    return _changed_lines(text, new)


def with_value(text: str, override: Override) -> str:
    """``text`` of a manifest with one value set. Raises Refusal where it cannot be spliced in."""
    keys = [key.text for key in override.keys]
    # Positions alone: the manifest was read, and found without tags and aliases, before.
    root = YAML(typ="safe", pure=True).compose(text)
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
    text: str
    value: str

    def set_below(self, node: Any, keys: Sequence[str], after: int, is_root: bool = False) -> _Edit:
        """The edit that sets the value at ``keys`` below ``node``, whose key ends at ``after``."""
        if not keys:
            return self.replaced(node, self.value, after)
        key, *rest = keys
        if isinstance(node, MappingNode):
            for name, value in node.value:
                if name.value == key:
                    if is_root and key == "steps" and rest and isinstance(value, SequenceNode):
                        return self.in_step(value, rest)
                    return self.set_below(value, rest, name.end_mark.index)
            return self.added(node, key, self.nested(rest))
        if isinstance(node, SequenceNode):
            return self.set_below(node.value[int(key)], rest, after)
        return self.replaced(node, self.nested(keys), after)

    def in_step(self, steps: SequenceNode, keys: Sequence[str]) -> _Edit:
        """``keys`` begin with a step's label."""
        names = [
            item.value[0][0].value if isinstance(item, MappingNode) else item.value
            for item in steps.value
        ]
        item = steps.value[step_labels(names).index(keys[0])]
        if isinstance(item, MappingNode):
            name, parameters = item.value[0]
            return self.set_below(parameters, keys[1:], name.end_mark.index)
        end = self.end_of(item)
        return _Edit(end, end, f": {self.nested(keys[1:])}")

    def nested(self, keys: Sequence[str]) -> str:
        """The value below mappings that are not there yet."""
        inner = self.value
        for key in reversed(keys):
            inner = f"{{{_quoted(key, True)}: {inner}}}"
        return inner

    def replaced(self, node: Any, value: str, after: int) -> _Edit:
        """``value`` in place of all that ``node`` is."""
        start, end = node.start_mark.index, self.end_of(node)
        if isinstance(node, ScalarNode) and node.style is None and not self.text[start:end].strip():
            colon = re.compile(r"[ \t]*:").match(self.text, after)
            at = colon.end() if colon else after
            return _Edit(at, at, f" {value}" if colon else f": {value}")
        on_own_lines = isinstance(node, MappingNode | SequenceNode) and not node.flow_style
        if on_own_lines and (line_end := self.line_end(after)) < start:
            # The block goes; what stands beside its key, a comment say, stays.
            colon_end = self.text.index(":", after) + 1
            return _Edit(colon_end, end, f" {value}{self.text[colon_end:line_end]}")
        return _Edit(start, end, value)

    def added(self, node: MappingNode, key: str, value: str) -> _Edit:
        """Another key behind the others."""
        pair = f"{_quoted(key, True)}: {value}"
        if not node.value:
            at = node.start_mark.index + 1
            return _Edit(at, at, pair)
        name, last = node.value[-1]
        end = max(name.end_mark.index, self.end_of(last))
        if node.flow_style:
            return _Edit(end, end, f", {pair}")
        at = self.line_end(end)
        newline = "\r\n" if "\r\n" in self.text else "\n"
        indent = " " * node.value[0][0].start_mark.column
        return _Edit(at, at, f"{newline}{indent}{pair}")

    def end_of(self, node: Any) -> int:
        """Where a node's own text ends; what a block is followed by is not part of it."""
        if isinstance(node, ScalarNode) or node.flow_style or not node.value:
            start, end = node.start_mark.index, node.end_mark.index
            return int(start + len(self.text[start:end].rstrip()))
        last = node.value[-1]
        ends = [self.end_of(part) for part in (last if isinstance(last, tuple) else (last,))]
        return max(ends)

    def line_end(self, index: int) -> int:
        found = re.compile(r"\r?\n|\Z").search(self.text, index)
        assert found is not None, "every text has an end"
        return found.start()


def _values(path: Path) -> dict[str, JsonValue] | None:
    """What a manifest says; None when it is wrong."""
    try:
        return load_manifest(path).values
    except ManifestError:
        return None


def _changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ, "" for one that was not there."""
    old, new = before.splitlines(), after.splitlines()
    changes = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            width = max(b - a, d - c)
            gone, come = ([*part, *[""] * (width - len(part))] for part in (old[a:b], new[c:d]))
            changes += list(zip(gone, come, strict=True))
    return changes
