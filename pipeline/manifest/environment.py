"""``${env:NAME}`` inside the text of a manifest.

The value is always text, so a manifest means the same whatever the environment holds. A value that
begins with ``./`` or ``../`` at the beginning of the text was typed in a shell: it is taken from
the current directory, whereas paths written in the manifest start at the manifest's folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace

from pipeline.errors import LocatedProblem
from pipeline.manifest.wording import show_text
from pipeline.manifest.yaml_tree import Entry, ListNode, MapNode, Node, Scalar, scalars

MIN_SECRET = 4  # characters; a shorter environment value would be replaced inside other words

_REFERENCE = re.compile(r"\$\{env:([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHELL_PATH = re.compile(r"\.\.?(/|$)")


def substitute(node: Node, environment: Mapping[str, str], problems: list[LocatedProblem]) -> Node:
    """``node`` with every reference in a value replaced; what is missing goes to ``problems``."""
    if isinstance(node, MapNode):
        return replace(
            node,
            entries={
                key: Entry(entry.place, substitute(entry.value, environment, problems))
                for key, entry in node.entries.items()
            },
        )
    if isinstance(node, ListNode):
        return replace(
            node, items=tuple(substitute(item, environment, problems) for item in node.items)
        )
    if node.broken or not isinstance(node.value, str) or "${env:" not in node.value:
        return node
    return _scalar(node, node.value, environment, problems)


def _scalar(
    node: Scalar, text: str, environment: Mapping[str, str], problems: list[LocatedProblem]
) -> Scalar:
    before = len(problems)
    found: dict[str, str] = {}

    def value(match: re.Match[str]) -> str:
        name, closed = match[1], match[2]
        if not closed or not _NAME.fullmatch(name):
            problems.append(
                node.place.problem(
                    "bad-reference", f"{show_text(match[0])} names no variable", "write ${env:NAME}"
                )
            )
        elif name not in environment:
            problems.append(
                node.place.problem(
                    "missing-environment",
                    f"the environment variable {name} is not set",
                    f"set it before the command: {name}=… winnow …",
                )
            )
        elif not environment[name].isprintable() or "\0" in environment[name]:
            problems.append(
                node.place.problem(
                    "bad-environment",
                    f"the environment variable {name} holds control characters "
                    "or bytes that are not UTF-8",
                )
            )
        else:
            given = environment[name]
            if match.start() == 0 and _SHELL_PATH.match(given):
                given = os.path.abspath(given)
            found[name] = given
        return found.get(name, match[0])

    substituted = _REFERENCE.sub(value, text)
    if len(problems) > before:
        return replace(node, broken=True)
    return replace(node, value=substituted, references=found)


def secrets_in(node: Node) -> dict[str, str]:
    """What environment variables below ``node`` hold → how the manifest refers to it."""
    found = {value: name for scalar in scalars(node) for name, value in scalar.references.items()}
    by_length = sorted(found, key=lambda value: (-len(value), value))
    return {value: f"${{env:{found[value]}}}" for value in by_length if len(value) >= MIN_SECRET}


def redact(message: str, secrets: Mapping[str, str]) -> str:
    """``message`` as if nothing had been substituted."""
    for value, reference in secrets.items():
        message = message.replace(value, reference)
    return message
