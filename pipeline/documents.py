"""Documents in memory: one Arrow record batch, and what steps derived from its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

MAX_BATCH_ROWS = 4_096
MAX_BATCH_BYTES = 64 * 2**20

# ``_source`` and ``_offset`` say where a document came from: the input file (relative to the
# manifest) and its position there (line or row number, from 0). Together they are unique, which
# ``id`` need not be. ``metadata`` is one JSON object per row, null when there is nothing to keep.
DOCUMENT_COLUMNS = {
    "id": "large_string",
    "text": "large_string",
    "source": "large_string",
    "url": "large_string",
    "language": "large_string",
    "metadata": "large_string",
    "_source": "large_string",
    "_offset": "int64",
}

# Those that a step may fill with its own values, of the same type; the others are never null.
REPLACEABLE_COLUMNS = ("url", "language", "metadata")

# A row that could not become a document. ``raw`` holds at most the first 64 KiB of it.
QUARANTINE_COLUMNS = {
    "source": "large_string",
    "_source": "large_string",
    "_offset": "int64",
    "code": "large_string",
    "message": "large_string",
    "raw": "large_binary",
    "raw_bytes": "int64",
}

if TYPE_CHECKING:
    BoolArray: TypeAlias = npt.NDArray[np.bool_]
    # The name of a type is what pyarrow calls it ("float32"), None where only documents show it.
    ColumnType: TypeAlias = pa.DataType | str | None
    DOCUMENT_SCHEMA: pa.Schema
    QUARANTINE_SCHEMA: pa.Schema
else:  # what annotations need where they are evaluated, without loading numpy and pyarrow
    BoolArray = ColumnType = Any


def __getattr__(name: str) -> object:
    """The two schemas, made when they are first used: a manifest is checked without pyarrow."""
    columns = {"DOCUMENT_SCHEMA": DOCUMENT_COLUMNS, "QUARANTINE_SCHEMA": QUARANTINE_COLUMNS}
    if name not in columns:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import pyarrow as pa

    schema = globals()[name] = pa.schema(
        [
            pa.field(column, pa.type_for_alias(kind), nullable=column in REPLACEABLE_COLUMNS)
            for column, kind in columns[name].items()
        ]
    )
    return schema


def arrow_type(kind: ColumnType) -> pa.DataType:
    """What is in a column; null where only documents show it. ValueError for an unknown name."""
    import pyarrow as pa

    if isinstance(kind, str):
        return pa.type_for_alias(kind)
    return pa.null() if kind is None else kind


class Selectable(Protocol):
    """Something derived per document that can follow its documents through a filter."""

    def select(self, rows: npt.NDArray[np.int64]) -> Selectable:
        """The same for the documents at ``rows`` alone, in that order."""


T = TypeVar("T", bound=Selectable)


class Docs:
    """A batch of documents (≤ 4,096 rows, ≤ 64 MB of text), as steps see it."""

    def __init__(
        self, batch: pa.RecordBatch, derived: Mapping[str, Selectable] | None = None
    ) -> None:
        self.batch = batch
        self._derived: dict[str, Selectable] = dict(derived or {})

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    @property
    def text(self) -> pa.LargeStringArray:
        return self.batch.column("text")

    def column(self, name: str) -> pa.Array:
        """A column by name; ``KeyError`` when no step and no reader made it."""
        return self.batch.column(name)

    def derive(self, key: str, build: Callable[[pa.LargeStringArray], T]) -> T:
        """``build(self.text)``, computed once and shared by the steps fused in one task."""
        if key not in self._derived:
            self._derived[key] = build(self.text)
        return cast(T, self._derived[key])

    def filter(self, keep: BoolArray) -> Docs:
        """The documents where ``keep`` [rows] is true; what was derived goes along."""
        if keep.all():
            return self
        import numpy as np
        import pyarrow as pa

        rows = np.flatnonzero(keep)
        derived = {key: value.select(rows) for key, value in self._derived.items()}
        return Docs(self.batch.filter(pa.array(keep)), derived)

    def with_text(self, text: pa.LargeStringArray) -> Docs:
        """The same documents with another text; what was derived from the old one is gone."""
        index = self.batch.schema.get_field_index("text")
        return Docs(self.batch.set_column(index, self.batch.schema.field(index), text))

    def with_columns(self, columns: Mapping[str, Any]) -> Docs:
        """The same documents with columns appended, or replaced where the name exists."""
        import pyarrow as pa

        batch = self.batch
        for name, values in columns.items():
            array = values if isinstance(values, pa.Array) else pa.array(values)
            index = batch.schema.get_field_index(name)
            field = pa.field(name, array.type)
            batch = (
                batch.append_column(field, array)
                if index < 0
                else batch.set_column(index, field, array)
            )
        return Docs(batch, self._derived)
