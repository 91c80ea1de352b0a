"""The tokens of spans, kept between runs.

Compiled rules need no memory; a tokenizer in Python takes 30 µs for a span, and most spans of the
next corpus are those of the last. A store that cannot be read or written costs time and nothing
else.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import spacy

from kernels.words.span_tokenizer import Piece

MAX_PIECES = 2**18
SAVE_EVERY = 2**11  # new pieces, or a quarter of what is known if that is more

_SCHEMA = pa.schema(
    [
        pa.field("span", pa.string(), nullable=False),
        pa.field("tokens", pa.list_(pa.string()), nullable=False),
        pa.field("first", pa.uint16(), nullable=False),
        pa.field("last", pa.uint16(), nullable=False),
        pa.field("changed", pa.bool_(), nullable=False),
        pa.field("refused", pa.bool_(), nullable=False),
    ]
)


def store_path(code: str) -> Path:
    """The file for spaCy's language ``code``; another release of what decides has another file."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    versions = f"{spacy.__version__}-{unicodedata.unidata_version}"
    return Path(home, "winnow", "words", f"{code}-{versions}.parquet")


class WordStore:
    """Pieces by span, of one language."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pieces = _read(path)
        self._saved = len(self._pieces)

    def __len__(self) -> int:
        return len(self._pieces)

    def get(self, span: str) -> Piece | None:
        """What the tokenizer makes of ``span``; None when it was not asked."""
        return self._pieces.get(span)

    def put(self, span: str, piece: Piece) -> None:
        """Remember ``piece``, as long as there is room."""
        if len(self._pieces) < MAX_PIECES:
            self._pieces[span] = piece

    def save_if_grown(self) -> None:
        """Write everything when enough is new that it is worth it."""
        if len(self._pieces) - self._saved < max(SAVE_EVERY, self._saved // 4):
            return
        self._saved = len(self._pieces)
        rows = [
            (span, piece.tokens, piece.first, piece.last, piece.changed, piece.refused)
            for span, piece in self._pieces.items()
        ]
        columns = [
            pa.array(values, field.type)
            for values, field in zip(zip(*rows, strict=True), _SCHEMA, strict=True)
        ]
        temporary = self._path.with_suffix(f".{os.getpid()}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            pq.write_table(
                pa.Table.from_arrays(columns, schema=_SCHEMA),
                temporary,
                compression="zstd",
                write_page_checksum=True,
            )
            temporary.replace(self._path)
        except OSError:  # full or read-only: the next run asks the tokenizer again
            if self._path.parent.is_dir():
                temporary.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Piece]:
    try:
        if path.stat().st_uid != os.getuid():
            return {}
        table = pq.read_table(path, schema=_SCHEMA, page_checksum_verification=True)
    except (OSError, pa.ArrowException):  # absent, or damaged: it is made anew
        return {}
    columns = table.to_pydict()
    return {
        span: Piece(tokens, first, last, changed, refused)
        for span, tokens, first, last, changed, refused in zip(*columns.values(), strict=True)
    }
