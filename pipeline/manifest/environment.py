"""``${env:NAME}`` inside the text of a manifest.

The value is always text, so a manifest means the same whatever the environment holds. A value that
begins with ``./`` or ``../`` at the beginning of the text was typed in a shell: it is taken from
the current directory, whereas paths written in the manifest start at the manifest's folder.

``${secret:NAME}`` stays as it is written and may stand in fields that say so: whoever needs the
value takes it from the environment at that moment, so it is in nothing that is written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace

from pipeline.errors import LocatedProblem
from pipeline.manifest.wording import MAX_LISTED, show_text
from pipeline.manifest.yaml_tree import ListNode, MapNode, Node, Place, Scalar, scalars

MIN_SECRET = 4  # characters; a shorter environment value would be replaced inside other words

SECRET_FIELDS = frozenset({"storage_options"})
_SECRET = "${secret:"
_REFERENCE = re.compile(r"\$\{env:([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Variables whose values are in no message, even when they look like a path.
_SECRET_NAME = re.compile("KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
_SHELL_PATH = re.compile(r"\.\.?(/|$)")


def substitute(node: Node, environment: Mapping[str, str], problems: list[LocatedProblem]) -> Node:
    """``node`` with every reference in a value replaced; what is missing goes to ``problems``, a
    variable that cannot be used once, with all its places."""
    substitution = _Substitution(environment, problems)
    replaced = substitution.node(node)
    substitution.report_unusable()
    return replaced


class _Substitution:
    def __init__(self, environment: Mapping[str, str], problems: list[LocatedProblem]) -> None:
        self.environment = environment
        self.problems = problems
        self.unusable: dict[tuple[str, str, str], list[Place]] = {}

    def node(self, node: Node, secrets: bool = False) -> Node:
        if isinstance(node, MapNode):
            entries = {
                key: replace(entry, value=self.node(entry.value, secrets or key in SECRET_FIELDS))
                for key, entry in node.entries.items()
            }
            return replace(node, entries=entries)
        if isinstance(node, ListNode):
            return replace(node, items=tuple(self.node(item, secrets) for item in node.items))
        if not secrets and isinstance(node.value, str) and _SECRET in node.value:
            message = f"{show_text(node.value)} is a secret where none is taken"
            hint = f"secrets are for {', '.join(sorted(SECRET_FIELDS))}; others are ${{env:NAME}}"
            self.problems.append(node.place.problem("bad-reference", message, hint))
            return replace(node, broken=True)
        if node.broken or not isinstance(node.value, str) or "${env:" not in node.value:
            return node
        return self.scalar(node, node.value)

    def scalar(self, node: Scalar, text: str) -> Scalar:
        found: dict[str, str] = {}
        broken = False
        for match in _REFERENCE.finditer(text):
            name, closed = match[1], match[2]
            if not closed or not _NAME.fullmatch(name):
                message, hint = f"{show_text(match[0])} names no variable", "write ${env:NAME}"
                self.problems.append(node.place.problem("bad-reference", message, hint))
                broken = True
            elif fault := _fault(name, self.environment):
                self.unusable.setdefault((name, *fault), []).append(node.place)
                broken = True
            else:
                given = self.environment[name]
                is_path = match.start() == 0 and _SHELL_PATH.match(given)
                found[name] = os.path.abspath(given) if is_path else given
        if broken:
            return replace(node, broken=True)
        value = _REFERENCE.sub(lambda match: found[match[1]], text)
        return replace(node, value=value, references=found)

    def report_unusable(self) -> None:
        for (name, code, message), places in self.unusable.items():
            hint = f"set it before the command: {name}=… winnow …"
            if others := [f"{place.line}:{place.column}" for place in places[1:]]:
                more = ", …" if len(others) > MAX_LISTED else ""
                hint += f"; it is used at {', '.join(others[:MAX_LISTED])}{more} too"
            self.problems.append(places[0].problem(code, message, hint))


def _fault(name: str, environment: Mapping[str, str]) -> tuple[str, str] | None:
    """(code, message) for a variable that cannot be used; None for one that can."""
    if name not in environment:
        return "missing-environment", f"the environment variable {name} is not set"
    if not environment[name]:
        return "empty-environment", f"the environment variable {name} is empty"
    if not environment[name].isprintable():
        message = "holds control characters or bytes that are not UTF-8"
        return "bad-environment", f"the environment variable {name} {message}"
    return None


def secrets_in(*nodes: Node) -> dict[str, str]:
    """What environment variables below ``nodes`` hold → how the manifest refers to it. Where two
    hold the same, the one of a later node counts."""
    found = {
        value: name
        for node in nodes
        for scalar in scalars(node)
        for name, value in scalar.references.items()
    }
    by_length = sorted(found, key=lambda value: (-len(value), value))
    return {value: f"${{env:{found[value]}}}" for value in by_length if len(value) >= MIN_SECRET}


def redact(message: str, secrets: Mapping[str, str]) -> str:
    """``message`` as if nothing had been substituted; a path that it named follows in brackets."""
    shown = []
    for value, reference in secrets.items():
        if value in message:
            message = message.replace(value, reference)
            if value.startswith("/") and not _SECRET_NAME.search(reference):
                shown.append(f"{reference} is {show_text(value)}")
    return f"{message} ({', '.join(shown)})" if shown else message
