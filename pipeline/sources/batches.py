"""From rows that a reader met to bounded record batches of documents and of quarantined rows.

Every reader goes through here, so equal faults get equal codes whatever the format.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from pipeline.documents import (
    DOCUMENT_SCHEMA,
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    QUARANTINE_SCHEMA,
)
from pipeline.sources.fields import Document
from pipeline.sources.rows import QUARANTINE_RAW_BYTES, RowError, too_long
from pipeline.sources.source import Read

# A batch is handed on once it holds this much; one more row of at most MAX_ROW_BYTES, with its id
# and the names of its source and file, still fits under MAX_BATCH_BYTES.
FULL_BYTES = MAX_BATCH_BYTES // 2

_LARGE = pa.large_string()


class Batches:
    """Collects the documents and bad rows of one shard and hands them on in bounded batches.

    After each row, hand ``take()`` on when ``full``; at the end, when ``rows``.
    """

    def __init__(self, source: str, max_row_bytes: int) -> None:
        self._source = source
        self._max_row_bytes = max_row_bytes
        self._clear()

    def _clear(self) -> None:
        self._documents: list[tuple[Any, ...]] = []
        self._bad: list[tuple[Any, ...]] = []
        self._bytes = 0

    @property
    def rows(self) -> int:
        """Rows met since the last ``take``."""
        return len(self._documents) + len(self._bad)

    @property
    def full(self) -> bool:
        return self.rows >= MAX_BATCH_ROWS or self._bytes >= FULL_BYTES

    def add(self, name: str, offset: int, document: Document) -> int:
        """Take a document that was found at ``offset`` of the file ``name``.

        Returns its bytes of UTF-8. Raises RowError ``row-too-long``.
        """
        identity = document.id or f"{self._source}/{name}#{offset}"
        others = (document.url, document.language, document.metadata)
        size = sum(map(_utf8_bytes, filter(None, (document.text, document.id, *others))))
        if size > self._max_row_bytes:
            raise too_long(size, self._max_row_bytes)
        self._documents.append((document.text, identity, *others, name, offset))
        self._bytes += size + self._overhead(name)
        return size

    def reject(
        self, name: str, offset: int, error: RowError, raw: bytes, size: int | None = None
    ) -> None:
        """Quarantine the row at ``offset``. ``size`` is that of the whole row where ``raw`` is
        only its beginning."""
        total = len(raw) if size is None else size
        raw = raw[:QUARANTINE_RAW_BYTES]
        self._bad.append((name, offset, error.code, error.message, raw, total))
        self._bytes += len(raw) + len(error.message) + self._overhead(name)

    def _overhead(self, name: str) -> int:
        return 2 * (_utf8_bytes(self._source) + _utf8_bytes(name))

    def take(self) -> Read:
        """What was collected, in the order it came; starts afresh."""
        read = Read(self._document_batch(), self._quarantine_batch())
        self._clear()
        return read

    def _document_batch(self) -> pa.RecordBatch | None:
        if not self._documents:
            return None
        text, identity, url, language, metadata, name, offset = zip(*self._documents, strict=True)
        columns = (identity, text, self._sources(text), url, language, metadata, name, offset)
        return _batch(columns, DOCUMENT_SCHEMA)

    def _quarantine_batch(self) -> pa.RecordBatch | None:
        if not self._bad:
            return None
        name, *others = zip(*self._bad, strict=True)
        return _batch((self._sources(name), name, *others), QUARANTINE_SCHEMA)

    def _sources(self, rows: tuple[Any, ...]) -> pa.Array:
        return pa.repeat(pa.scalar(self._source, _LARGE), len(rows))


def _batch(columns: tuple[Any, ...], schema: pa.Schema) -> pa.RecordBatch:
    arrays = [
        column if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
