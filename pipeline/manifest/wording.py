"""What a parser or validator found, in words for whoever edits the manifest."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from ruamel.yaml.error import MarkedYAMLError

MAX_SHOWN = 60  # characters of a value within a message
MAX_LISTED = 12  # names within a hint


def printable(text: str) -> str:
    """``text`` with every character that a terminal would obey replaced, at the same length."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def show_text(text: str) -> str:
    """``text`` in quotes, escaped for a terminal and cut to a readable length."""
    shown = repr(text[: MAX_SHOWN + 1])
    return shown if len(text) <= MAX_SHOWN else repr(text[:MAX_SHOWN])[:-1] + "…'"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known name nearest to ``word``, "" when none is near."""
    if len(word) > MAX_SHOWN:
        return ""
    folded = {name.casefold(): name for name in sorted(set(known), reverse=True)}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"did you mean {show_text(folded[near[0]])}?" if near else ""


def did_you_mean(word: str, known: Iterable[str], what: str) -> str:
    """A hint: the nearest known name, or all of them (``what`` they are) when none is near."""
    names = sorted(set(known))
    if not names or (near := nearest(word, names)):
        return near if names else ""
    more = ", …" if len(names) > MAX_LISTED else ""
    return f"{what}: {', '.join(names[:MAX_LISTED])}{more}"


# What ruamel.yaml says → what it means to the writer, and what to do. First match counts.
_SYNTAX = (
    ("mapping values are not allowed", "a second ': ' where one value was expected",
     "check the indentation; quote text that contains ': '"),
    ("character '\\t'", "a tab where YAML wants spaces", "indent with spaces"),
    ("character '@'", "text may not begin with @", "quote it"),
    ("character '`'", "text may not begin with `", "quote it"),
    ("character '%'", "text may not begin with %", "quote it"),
    ("but found '?'", "a key where the block above should go on or end",
     "check the indentation of this line"),
    ("but found '<block mapping start>'", "indented deeper than the line it belongs to",
     "check the indentation of this line"),
    ("but found '<block sequence start>'", "indented deeper than the line it belongs to",
     "check the indentation of this line"),
    ("but found '-'", "a list item where the block above should go on or end",
     "check the indentation of this line"),
    ("found unexpected end of stream", "a quote is opened and never closed", "close the quote"),
    ("could not find expected ':'", "a key without ': ' after it",
     "write 'key: value', with a space after the colon"),
    ("but got '<stream end>'", "a bracket is opened and never closed", "close the bracket"),
    ("expected ',' or", "no comma or closing bracket where one was expected",
     "close what is open, or quote the text"),
    ("escape", "a wrong escape in double quotes", "use single quotes, or \\\\ for a backslash"),
)  # fmt: skip


def parser_words(error: MarkedYAMLError) -> tuple[str, str]:
    """Message and hint for a YAML syntax error."""
    said = str(error.problem or error.context or "this is not YAML")
    for found, message, hint in _SYNTAX:
        if found in said:
            return message, hint
    context = f" ({error.context})" if error.context and error.context != said else ""
    return printable(f"{said}{context}"), ""


_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "dataclass": "a mapping",
    "date": "a date",
    "datetime": "a date and time",
    "none_required": "nothing",
    "finite_number": "a finite number",
}
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
    "multiple_of": ("multiple_of", "a multiple of"),
}


def expectation(error: dict[str, Any]) -> tuple[str, str]:
    """(code, what was expected) of a pydantic error; ("", "") when it expected no certain thing."""
    kind: str = error["type"]
    context: dict[str, Any] = error.get("ctx", {})
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return "out-of-range", f"{words} {context[key]}"
    if kind in ("literal_error", "enum"):
        return "not-allowed", str(context["expected"])
    if kind in ("too_short", "string_too_short"):
        return "too-short", _count("at least", context["min_length"], kind)
    if kind in ("too_long", "string_too_long"):
        return "too-long", _count("at most", context["max_length"], kind)
    if kind == "string_pattern_mismatch":
        return "bad-value", f"text that matches {context['pattern']}"
    for suffix in ("_type", "_parsing", "_from_float", ""):
        if kind.endswith(suffix) and (stem := kind.removesuffix(suffix)) in _EXPECTED:
            return "wrong-type", _EXPECTED[stem]
    return "", ""


def _count(words: str, number: int, kind: str) -> str:
    unit = "character" if kind.startswith("string") else "item"
    return f"{words} {number} {unit}{'' if number == 1 else 's'}"


def complaint(error: dict[str, Any]) -> str:
    """A pydantic error that expected no certain thing, as a sentence: a validator's own words."""
    inner = error.get("ctx", {}).get("error")
    said = str(inner) if isinstance(inner, Exception) and str(inner) else str(error["msg"])
    return said[:1].lower() + said[1:] if said[1:2].islower() else said
