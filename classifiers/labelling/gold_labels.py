"""Gold sets: documents with labels by people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from classifiers.judges.rubric import Attribute
from classifiers.labelling.label_config import GoldSpec
from winnow import ShardError, read_rows


@dataclass(frozen=True)
class Gold:
    """Columns [n] of a gold set. ``labels`` are numbers (float64), or names of categories."""

    texts: list[str]
    labels: npt.NDArray[Any]
    sources: npt.NDArray[Any]
    languages: npt.NDArray[Any]


def read_gold(spec: GoldSpec, folder: Path, attribute: Attribute) -> Gold:
    """The gold set that ``spec`` names, from the manifest's ``folder``: JSON lines (compressed or
    not) or Parquet. Raises ShardError naming the line of what cannot be used."""
    path = folder / spec.path
    numbered = list(_rows(path, spec))
    if not numbered:
        _wrong(spec, 1, "the file is empty")
    labels = [_label(spec, number, row, attribute) for number, row in numbered]
    rows = [row for _, row in numbered]
    kind: Any = np.float64 if attribute.values is not None else object
    return Gold(
        [row[spec.text] for row in rows],
        np.array(labels, dtype=kind),
        _names(rows, spec.source),
        _names(rows, spec.language),
    )


def _rows(path: Path, spec: GoldSpec) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows with their numbers; each has a text and a label."""
    for number, row in read_rows(path, spec.path):
        if not isinstance(row.get(spec.text), str):
            _wrong(spec, number, f"no text in the field {spec.text!r}; {_fields(row)}")
        if row.get(spec.label) is None:
            _wrong(spec, number, f"no label in the field {spec.label!r}; {_fields(row)}")
        yield number, row


def _fields(row: dict[str, Any]) -> str:
    return f"the fields are {', '.join(map(repr, row))}" if row else "the row has no field"


def _label(spec: GoldSpec, number: int, row: dict[str, Any], attribute: Attribute) -> Any:
    value = row[spec.label]
    if attribute.values is None:
        if value not in attribute.labels:
            _wrong(spec, number, f"{value!r} is none of the attribute's categories")
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        _wrong(spec, number, f"the label {value!r} is not a number")
    return float(value)


def _names(rows: Sequence[dict[str, Any]], field: str) -> npt.NDArray[Any]:
    """As text, for a source may be a number, and numbers and names do not sort together."""
    found = (row.get(field) for row in rows)
    return np.array([None if name is None else str(name) for name in found], dtype=object)


def _wrong(spec: GoldSpec, line: int, message: str) -> NoReturn:
    hint = 'rows of {"text": …, "label": …}; name other fields in checks.gold'
    raise ShardError("bad-gold", f"{spec.path}:{line}:1 {message}", hint)
