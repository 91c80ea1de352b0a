"""``--set steps.gopher_quality.min_stop_words=3``: values that replace those of the manifest.

The path names a top-level key, ``sources.NAME`` or ``steps.LABEL``, and goes on through mappings by
key and through lists by number (from 0). The value is YAML, on one line. A path may add keys that
the manifest leaves out, but neither a source nor a step: a misspelt one would be added silently.
What comes out is validated like the manifest itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from pipeline.errors import ManifestError
from pipeline.manifest.registry import step_labels
from pipeline.manifest.wording import did_you_mean, show_text
from pipeline.manifest.yaml_reader import read_tree
from pipeline.manifest.yaml_tree import (
    Entry,
    ListNode,
    MapNode,
    Node,
    Place,
    Scalar,
    SourceText,
)


@dataclass(frozen=True)
class Key:
    place: Place
    text: str


@dataclass(frozen=True)
class Override:
    keys: tuple[Key, ...]
    value: Node


def override_name(number: int) -> str:
    """What errors call the override at ``number`` (from 1) in place of a file."""
    return f"--set #{number}"


def parse_override(number: int, text: str) -> Override:
    """Raises ManifestError with every problem of the path or of the value."""
    source = SourceText(override_name(number), text)
    path, equals, value = text.partition("=")
    if not equals:
        raise _wrong(
            source.place(0),
            "bad-override",
            f"there is no '=' in {show_text(text)}",
            "write --set KEY.KEY=VALUE",
        )
    keys, index = [], 0
    for part in path.split("."):
        place = source.place(index)
        if not part.strip():
            raise _wrong(
                place, "bad-override", "the path has an empty name", "write --set KEY.KEY=VALUE"
            )
        keys.append(Key(place, part.strip()))
        index += len(part) + 1
    start = len(path) + 1
    if not value.strip():
        return Override(tuple(keys), Scalar(source.place(start)))
    node, problems = read_tree(source, start)
    if problems:
        raise ManifestError(problems)
    return Override(tuple(keys), node or Scalar(source.place(start)))


def apply_override(root: MapNode, override: Override, known: Collection[str]) -> MapNode:
    """``root`` with the override's value in its place; ``known`` are the top-level keys.

    Raises ManifestError when the path leads nowhere.
    """
    first, *rest = override.keys
    if first.text not in known and first.text not in root.entries:
        message = f"the manifest has no field {show_text(first.text)}"
        hint = did_you_mean(first.text, known, "its fields")
        raise _wrong(first.place, "unknown-field", message, hint)
    below = root.entries.get(first.text)
    if rest and first.text == "sources":
        _require(rest[0], _names(below), "source")
    if rest and first.text == "steps":
        old: Node = below.value if below else Scalar(first.place)
        return _with(root, first, _set_in_steps(old, rest, override.value))
    return _with(root, first, _set(below, first, rest, override.value))


def step_name(item: Node) -> str:
    """The name of a ``steps`` item, "" when it has none."""
    if isinstance(item, Scalar) and isinstance(item.value, str):
        return item.value
    if isinstance(item, MapNode) and len(item.entries) == 1:
        return next(iter(item.entries))
    return ""


def _set(old: Entry | None, at: Key, keys: Sequence[Key], value: Node) -> Node:
    """What stands at key ``at`` once ``value`` is set at ``keys`` below it."""
    if not keys:
        return value
    node: Node = old.value if old else Scalar(at.place)
    key, *rest = keys
    if isinstance(node, ListNode):
        if not key.text.isdecimal() or int(key.text) >= len(node.items):
            message = f"{at.text} is a list of {len(node.items)}, it has no {show_text(key.text)}"
            raise _wrong(key.place, "no-such-item", message, "items count from 0")
        index = int(key.text)
        item = _set(Entry(key.place, node.items[index]), key, rest, value)
        return replace(node, items=(*node.items[:index], item, *node.items[index + 1 :]))
    if isinstance(node, Scalar):
        if node.value is not None:
            message = f"{at.text} is {show_text(node.text)}, it has no {show_text(key.text)}"
            raise _wrong(key.place, "not-a-mapping", message, f"set {at.text} as a whole")
        node = MapNode(at.place, {})
    return _with(node, key, _set(node.entries.get(key.text), key, rest, value))


def _set_in_steps(node: Node, keys: Sequence[Key], value: Node) -> ListNode:
    items = node.items if isinstance(node, ListNode) else ()
    labels = step_labels(step_name(item) for item in items)
    key, *rest = keys
    _require(key, [label for label in labels if label], "step")
    index = labels.index(key.text)
    name, item = step_name(items[index]), items[index]
    entry = (
        item.entries[name] if isinstance(item, MapNode) else Entry(item.place, Scalar(item.place))
    )
    changed = _with(MapNode(item.place, {}), Key(entry.place, name), _set(entry, key, rest, value))
    return ListNode(node.place, (*items[:index], changed, *items[index + 1 :]))


def _with(node: MapNode, key: Key, value: Node) -> MapNode:
    old = node.entries.get(key.text)
    entry = Entry(old.place if old else key.place, value)
    return replace(node, entries={**node.entries, key.text: entry})


def _names(entry: Entry | None) -> list[str]:
    return list(entry.value.entries) if entry and isinstance(entry.value, MapNode) else []


def _require(key: Key, names: Collection[str], what: str) -> None:
    if key.text not in names:
        message = f"the manifest has no {what} {show_text(key.text)}"
        hint = did_you_mean(key.text, names, f"its {what}s")
        raise _wrong(key.place, f"unknown-{what}", message, hint)


def _wrong(place: Place, code: str, message: str, hint: str) -> ManifestError:
    return ManifestError([place.problem(code, message, hint)])
