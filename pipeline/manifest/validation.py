"""Validates a part of the manifest's tree and ties every complaint to its place."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, cast

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from pipeline.errors import LocatedProblem, WinnowError
from pipeline.manifest.environment import redact, secrets_in
from pipeline.manifest.renamed import renamed_word
from pipeline.manifest.wording import MAX_SHOWN, counted, did_you_mean, nearest, show_text
from pipeline.manifest.yaml_tree import (
    MapNode,
    Node,
    Place,
    Scalar,
    Spot,
    find,
    must_be,
    show,
    to_json,
)

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def build(
    model: type[M], values: MapNode, at: Place, what: str, known: Sequence[str] = ()
) -> tuple[M | None, list[LocatedProblem]]:
    """``model`` made from ``values``, or None and what is wrong.

    ``at`` is the place of the key that ``values`` belong to and ``what`` the words for it in
    messages; ``known`` are fields that the caller takes itself, for suggestions.
    """
    try:
        # JSON in strict mode: no text becomes a number, but lists become tuples and text paths.
        return model.model_validate_json(json.dumps(to_json(values)), strict=True), []
    except ValidationError as error:
        raw = cast(list[dict[str, Any]], error.errors(include_url=False))
    spots = [(find(values, at, error["loc"]), error) for error in map(_of_field, raw)]
    problems = []
    for group in _grouped(spots):
        spot = group[0][0]
        if spot.broken:
            continue
        if group[0][1]["type"] == "extra_forbidden":
            problems.append(_unknown(model, spot, what, known))
        elif group[0][1]["type"] == "missing":
            problems.append(_missing(spot, group[0][1], what))
        else:
            errors = [error for _, error in group]
            problems.append(_wrong(spot, errors, secrets_in(values, spot.node), what))
    return None, problems


def checked_value(kind: TypeAdapter[T], value: JsonValue, subject: str) -> T:
    """A value of a manifest as ``kind`` reads it, strictly; ``subject`` is its name in messages.

    Raises WinnowError, in the words of all other fields.
    """
    try:
        return kind.validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        errors = cast(list[dict[str, Any]], error.errors(include_url=False))
    expected = [found for found in map(expectation, errors) if found[1]]
    got = show_text(value) if isinstance(value, str) else json.dumps(value)[:MAX_SHOWN]
    if not expected:
        raise WinnowError("bad-value", f"{subject}: {complaint(errors[0])}, not {got}")
    words = dict.fromkeys(phrase for _, phrase in expected)
    raise WinnowError(expected[0][0], must_be(subject, " or ".join(words), got))


def _of_field(error: dict[str, Any]) -> dict[str, Any]:
    """A complaint about the tag of a tagged union, as one about the field that holds the tag:
    pydantic places it at the whole mapping, and in words of its own."""
    if error["type"] not in ("union_tag_invalid", "union_tag_not_found"):
        return error
    loc = (*error["loc"], error["ctx"]["discriminator"].strip("'"))
    if error["type"] == "union_tag_not_found":
        return {**error, "type": "missing", "loc": loc}
    expected = " or ".join(error["ctx"]["expected_tags"].rsplit(", ", 1))
    return {**error, "type": "literal_error", "loc": loc, "ctx": {"expected": expected}}


Complaints = list[tuple[Spot, dict[str, Any]]]


def _grouped(spots: Complaints) -> list[Complaints]:
    """One group for each problem to report.

    Each branch of a union complains for itself. Where branches differ in how far they understood
    the value, only those that went furthest are reported.
    """
    furthest: dict[tuple[str | int, ...], int] = {}
    reach = []
    for spot, error in spots:
        # A branch that only lacks a field has understood more than one that wants another type.
        lacks = error["type"] == "missing"
        union = spot.path[: spot.branch] if spot.skipped > lacks else None
        reach.append((union, len(spot.path) + lacks))
        if union is not None:
            furthest[union] = max(furthest.get(union, 0), reach[-1][1])
    groups: dict[tuple[Any, ...], Complaints] = {}
    for (spot, error), (union, length) in zip(spots, reach, strict=True):
        if union is not None and length < furthest[union]:
            continue
        alone = error["type"] in ("missing", "extra_forbidden")
        key = (*spot.path, error["type"], str(error["loc"])) if alone else (spot.path,)
        groups.setdefault(key, []).append((spot, error))
    return list(groups.values())


def _unknown(model: type[BaseModel], spot: Spot, what: str, known: Sequence[str]) -> LocatedProblem:
    name, parents = str(spot.path[-1]), spot.path[:-1]
    fields = sorted({*_fields(model.model_json_schema(), parents), *(known if not parents else ())})
    within = _dotted(what, parents)
    return spot.key.problem(
        "unknown-field",
        f"{within} has no field {show_text(name)}",
        renamed_word(name, fields)
        or did_you_mean(name, fields, "its fields")
        or "delete it: there are no fields",
    )


def _missing(spot: Spot, error: dict[str, Any], what: str) -> LocatedProblem:
    return spot.key.problem(
        "missing-field", f"{_dotted(what, spot.path)} needs {show_text(str(error['loc'][-1]))}"
    )


def _wrong(
    spot: Spot, errors: Sequence[dict[str, Any]], secrets: Mapping[str, str], what: str
) -> LocatedProblem:
    at_key = errors[0]["loc"][-1:] == ("[key]",)
    place = spot.key if at_key else spot.place
    got = show_text(str(spot.path[-1])) if at_key and spot.path else show(spot.node)
    expected = [expectation(error) for error in errors]
    words = list(dict.fromkeys(phrase for _, phrase in expected if phrase))
    if words:
        code = next(code for code, phrase in expected if phrase)
        message = must_be(_subject(spot, what), " or ".join(words), got)
        return place.problem(code, redact(message, secrets), _type_hint(spot.node, errors))
    found = complaint(errors[0])
    message = found if got in found or not spot.path else f"{found}: {got}"
    return place.problem("bad-value", redact(message, secrets))


def _subject(spot: Spot, what: str) -> str:
    """The name of a field, with the numbers of the items that lead to a value in it."""
    names = [n for n, element in enumerate(spot.path) if isinstance(element, str)]
    return ".".join(map(str, spot.path[names[-1] :])) if names else what


def _type_hint(node: Node, errors: Sequence[dict[str, Any]]) -> str:
    if not isinstance(node, Scalar):
        return ""
    kinds = {error["type"].partition("_")[0] for error in errors}
    if kinds & {"literal", "enum"} and isinstance(node.value, str):
        expected = " ".join(str(error.get("ctx", {}).get("expected", "")) for error in errors)
        return nearest(node.text, re.findall(r"'([^']*)'", expected))
    if node.value is None:
        return "give a value, or delete the key"
    if kinds & {"string", "path"} and not isinstance(node.value, str):
        return f'quote it: "{node.text}"'
    if not isinstance(node.value, str) or not kinds & {"int", "float", "bool"}:
        return _whole(node) if "int" in kinds else ""
    if node.references:
        return "environment variables give text; numbers and switches come by --set"
    return _spelling(node, kinds)


def _whole(node: Scalar) -> str:
    whole = isinstance(node.value, float) and node.value.is_integer() and abs(node.value) < 2**53
    return f"write {int(cast(float, node.value))}" if whole else ""


def _spelling(node: Scalar, kinds: set[str]) -> str:
    """For text where a number or a switch was expected."""
    switch = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}
    if "bool" in kinds and node.text.lower() in switch:
        return f"write {switch[node.text.lower()]}: YAML 1.2 reads {node.text} as text"
    digits = node.text.replace("_", "").replace(",", "")
    if digits.isascii() and digits.isdigit() and "bool" not in kinds:
        return "remove the quotes" if digits == node.text else f"write {int(digits[:32])}"
    if node.text in ("true", "false") and "bool" in kinds:
        return "remove the quotes"
    return ""


def _dotted(what: str, path: Sequence[str | int]) -> str:
    return f"{'.'.join(map(str, path))} of {what}" if path else what


def _fields(schema: Mapping[str, Any], path: Sequence[str | int]) -> set[str]:
    """Names of the fields that a JSON schema knows at ``path``, over all branches of unions."""
    found: set[str] = set()
    for part in _branches(schema, schema.get("$defs", {})):
        if not path:
            found |= set(part.get("properties", {}))
            continue
        below: list[Any] = []
        if isinstance(path[0], str):
            below = [part.get("properties", {}).get(path[0]) or part.get("additionalProperties")]
        else:
            below = [part.get("items"), *part.get("prefixItems", [])]
        for child in below:
            if isinstance(child, dict):
                found |= _fields({**child, "$defs": schema.get("$defs", {})}, path[1:])
    return found


def _branches(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in schema:
        return _branches(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    options = [option for key in ("anyOf", "oneOf", "allOf") for option in schema.get(key, [])]
    return [schema, *(part for option in options for part in _branches(option, definitions))]


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
    return f"{words} {counted(number, 'character' if kind.startswith('string') else 'item')}"


def complaint(error: dict[str, Any]) -> str:
    """A pydantic error that expected no certain thing, as a sentence: a validator's own words."""
    inner = error.get("ctx", {}).get("error")
    words = str(inner) if isinstance(inner, Exception) and str(inner) else str(error["msg"])
    return words[:1].lower() + words[1:] if words[1:2].islower() else words
