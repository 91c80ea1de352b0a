"""Evaluation files: documents that are scored and come from no source."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa

from winnow import ShardError, sha256_file

DEFAULT_SHARE = 0.02
_HELD_OUT = re.compile(r"held_out (\d+(?:\.\d+)?)\s?%")
_CONTINUATIONS = ("continuation", "answer")


def parse_share(target: str) -> float | None:
    """The share meant by ``held_out 2%``; None for anything else. ValueError beyond 50 %."""
    match = _HELD_OUT.fullmatch(target.strip())
    if match is None:
        return None
    share = float(match[1]) / 100
    if not 0 < share <= 0.5:
        raise ValueError(f"{target!r}: hold out more than 0% and at most 50%")
    return share


@dataclass(frozen=True)
class EvaluationFile:
    """An evaluation file beside the corpus: JSON lines, plain, .gz or .zst."""

    target: str
    path: Path
    name: str  # as the manifest gives it
    sha256: str

    def documents(self) -> Iterator[tuple[str, str]]:
        """(id, text) of each line. ShardError when a line has no text, or the file has changed."""
        if sha256_file(self.path) != self.sha256:
            raise ShardError(
                "input-changed", f"{self.name} has changed since it was planned", "run again"
            )
        for number, line in enumerate(_lines(self.path, self.name), 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise ShardError("evaluation-row", f"{self.name}:{number} {error}") from error
            text = row_text(row)
            if text is None:
                fields = ", ".join(row) if isinstance(row, dict) else type(row).__name__
                raise ShardError(
                    "evaluation-row",
                    f"{self.name}:{number} has no text in it (it has {fields})",
                    "a line needs `text`, or `query` with `continuation`, `answer` or "
                    "`choices` and `gold`",
                )
            yield str(row.get("id", number)), text


def row_text(row: object) -> str | None:
    """The text of an evaluation row: ``text``, or ``query`` followed by its gold answer."""
    if not isinstance(row, dict):
        return None
    query, text = row.get("query"), row.get("text")
    if not isinstance(query, str):
        return text if isinstance(text, str) else None
    answer = next((row[name] for name in _CONTINUATIONS if name in row), None)
    choices, gold = row.get("choices"), row.get("gold")
    if isinstance(choices, list) and isinstance(gold, int) and 0 <= gold < len(choices):
        answer = choices[gold]
    if not isinstance(answer, str):
        return None
    return query + ("" if query[-1:].isspace() else " ") + answer


def _lines(path: Path, name: str) -> Iterator[bytes]:
    compression = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    try:
        with pa.input_stream(path, compression=compression) as stream:
            yield from stream.read().splitlines()
    except (pa.ArrowException, OSError) as error:
        raise ShardError("evaluation-file", f"{name}: {error}") from error
