"""What ruamel.yaml reports of a text that is no YAML, in words and at the place to be mended.

A parser notices many a mistake later than where it was made: a missing colon in the next line, a
bracket that is never closed wherever something follows that cannot stand inside it.
"""

from __future__ import annotations

import re

from ruamel.yaml.error import MarkedYAMLError

from pipeline.errors import LocatedProblem
from pipeline.manifest.wording import printable
from pipeline.manifest.yaml_tree import Place, SourceText

# Words of ruamel.yaml → what is wrong for the writer, and what to do. The first match counts.
_MESSAGES = (
    ("mapping values are not allowed", "there is a second ': ' where one value is expected",
     "check the indentation; quote text that contains ': '"),
    ("character '\\t'", "there is a tab where YAML expects spaces", "indent with spaces"),
    ("character '@'", "text may not begin with @", "quote it"),
    ("character '`'", "text may not begin with `", "quote it"),
    ("character '%'", "text may not begin with %", "quote it"),
    ("but found '?'", "a key stands where the block above should go on or end",
     "check the indentation of this line"),
    ("expected '<document start>', but found", "this line begins further left than the first one",
     "begin all keys of the top level in the first column"),
    ("but found '<block mapping start>'", "this line begins in another column than those above",
     "indent it as the lines that it belongs to"),
    ("but found '<block sequence start>'", "this line begins in another column than those above",
     "indent it as the lines that it belongs to"),
    ("but found '-'", "a list item stands where the block above should go on or end",
     "check the indentation of this line"),
    ("found unexpected end of stream", "a quote is opened and never closed", "close the quote"),
    ("could not find expected ':'", "this key has no ': ' after it",
     "write 'key: value', with a space after the colon"),
    ("but got '<stream end>'", "a bracket is opened and never closed", "close the bracket"),
    ("expected ',' or", "a comma or a closing bracket is missing here",
     "close what is open, or quote the text"),
    ("escape", "this text in double quotes has a wrong escape",
     "use single quotes, or \\\\ for a backslash"),
)  # fmt: skip
_NO_COLON = "could not find expected ':'"
_BLOCK_LINE = re.compile(r"[ \t]*(- |-$|[\w./\"'-]+:( |$))")


def syntax_problem(error: MarkedYAMLError, source: SourceText, start: int) -> LocatedProblem:
    """What is wrong with ``source.text[start:]``, where it has to be mended."""
    reported = str(error.problem or error.context or "this is not YAML")
    place = _mark(error.problem_mark, source, start) or source.place(start)
    opened = _mark(error.context_mark, source, start) or place
    # What is never closed is wrong where it opens, and so is a key without a colon.
    if re.search(f"end of stream|<stream end>|{_NO_COLON}", reported):
        place = opened
    if "mapping values are not allowed" in reported and (problem := _second_value(place)):
        return problem
    if (
        "expected ',' or" in reported
        and _BLOCK_LINE.match(_line(place))
        and opened.line < (place.line)
    ):
        place, reported = opened, "but got '<stream end>'"
    message, hint = _words(error, reported)
    if source.text[max(place.index - 1, 0) :].startswith("${"):
        hint = "quote text with ${env:…} that stands inside braces or brackets"
    return place.problem("yaml-syntax", message, hint)


def _second_value(colon: Place) -> LocatedProblem | None:
    """The problem when ``colon`` is the first one of its line: the line above holds a text that
    goes on in this one, so either it lacks a colon or this one is indented too deep."""
    line = _line(colon)
    if colon.column - 1 > len(line) or not re.fullmatch(
        r"[ ]*(- )?[^:]*", line[: colon.column - 1]
    ):
        return None
    number = colon.line - 1
    while number > 0 and not colon.source.line(number).strip():
        number -= 1
    if number == 0:
        return None
    above = colon.source.line(number)
    depth, depth_above = (len(text) - len(text.lstrip(" ")) for text in (line, above))
    if depth <= depth_above:
        place = Place(colon.source, number, depth_above + 1)
        hint = "write 'key: value', with a space after the colon"
        return place.problem("yaml-syntax", "this key has no ': ' after it", hint)
    place = Place(colon.source, colon.line, depth + 1)
    message = "this line is indented deeper than the one above, which already has a value"
    return place.problem("yaml-syntax", message, "check the indentation of this line")


def _mark(mark: object, source: SourceText, start: int) -> Place | None:
    index = getattr(mark, "index", None)
    return None if index is None else source.place(start + index)


def _line(place: Place) -> str:
    return place.source.line(place.line)


def _words(error: MarkedYAMLError, reported: str) -> tuple[str, str]:
    """Message and hint."""
    for found, message, hint in _MESSAGES:
        if found in reported:
            return message, hint
    context = f" ({error.context})" if error.context and error.context != reported else ""
    return printable(f"{reported}{context}"), ""
