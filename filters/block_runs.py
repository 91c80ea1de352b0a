"""Documents through a datatrove block: what it gets, what it gives back, what that means here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import orjson
import pyarrow as pa

from filters.block_classes import kind_of
from filters.block_extraction import BROKEN, ERROR, TIMEOUT, Extraction
from winnow import Docs, ShardError

if TYPE_CHECKING:
    from datatrove.data import Document
    from datatrove.pipeline.base import PipelineStep

OnError = Literal["fail", "drop"]

# How many documents a block is asked about a second time, in another order.
ASKED_AGAIN = 8
# Fields of metadata that are columns of documents here.
_COLUMNS = ("url", "language")
_FILE_PATH = "file_path"
_JSON = orjson.OPT_SERIALIZE_NUMPY


@dataclass(frozen=True)
class Given:
    """A document as winnow has it: the columns that a block sees."""

    id: str
    text: str
    url: str | None
    language: str | None
    metadata: str | None
    source: str

    def fields(self) -> dict[str, Any]:
        """Metadata as datatrove's readers give them: one mapping of all fields of the row."""
        rest = orjson.loads(self.metadata) if self.metadata else {}
        nested = rest.pop("metadata", {})
        if isinstance(nested, str):
            with suppress(orjson.JSONDecodeError):  # then it is a text like any other
                nested = orjson.loads(nested)
        found = nested if isinstance(nested, dict) else {"metadata": nested}
        found |= rest
        for name in _COLUMNS:
            if (value := getattr(self, name)) is not None:
                found[name] = value
        found.setdefault(_FILE_PATH, self.source)
        return found

    def document(self) -> Document:
        from datatrove.data import Document

        return Document(text=self.text, id=self.id, metadata=self.fields())


@dataclass(frozen=True)
class Outcome:
    """What a block made of one document. ``reason`` is "" for one that stays; ``written`` are the
    fields of metadata that it set."""

    text: str
    reason: str = ""
    url: str | None = None
    language: str | None = None
    metadata: str | None = None
    written: dict[str, Any] = field(default_factory=dict, compare=False)


class BlockRun:
    """A block at work in one process."""

    def __init__(self, block: PipelineStep, on_error: OnError | None) -> None:
        self.block = block
        self.name = type(block).__name__
        self.kind = kind_of(type(block))
        # An extractor that fails loses the document in datatrove too; others end the task.
        self.drops_errors = (on_error or ("drop" if self.kind == "extractor" else "fail")) == "drop"
        self._extraction = Extraction(block) if self.kind == "extractor" else None
        self._asked_again = False

    def outcomes(self, docs: Docs) -> list[Outcome]:
        """What becomes of each document [rows].

        Raises ShardError where a block gives what has no meaning, or another answer to the same
        document.
        """
        given = list(_given(docs))
        found = self._run(given)
        if not self._asked_again and given:
            self._asked_again = True
            self._ask_again(given[:ASKED_AGAIN], found)
        return found

    def warm(self, docs: Docs) -> None:
        """Have the block load what it loads with its first document."""
        for given in _given(docs):
            # The document is made up, and need not be of a kind that the block can take.
            with suppress(Exception):
                if self.kind == "extractor":
                    self.block.extract("")
                else:
                    self._run([given])

    def _run(self, given: Sequence[Given]) -> list[Outcome]:
        if self.kind == "filter":
            return self._filter(given)
        if self._extraction is not None:
            return [self._extract(self._extraction, document) for document in given]
        return [self._format(document) for document in given]

    def _format(self, given: Given) -> Outcome:
        try:
            text: object = self.block.format(given.text)
        except Exception as error:  # noqa: BLE001 - raised again, or told as the reason
            return self._failed(given, error)
        if not isinstance(text, str):
            message = f"format() of {self.name} gave {type(text).__name__}, not a text"
            raise ShardError("block-result", message, "return the text after the edit")
        return _unchanged(given, text)

    def _extract(self, extraction: Extraction, given: Given) -> Outcome:
        text, reason, details = extraction.extract(given.text)
        if reason and details and not self.drops_errors:
            message = f"{self.name}: {reason} ({details}), on document {given.id!r}"
            raise ShardError("block-failed", message, "on_error: drop drops such documents")
        written = {"error": details} if details else {}
        return _unchanged(given, text if not reason else given.text, reason, written)

    def _filter(self, given: Sequence[Given]) -> list[Outcome]:
        size = max(1, self.block.batch_size)
        found: list[Outcome] = []
        for start in range(0, len(given), size):
            batch = given[start : start + size]
            try:
                found += self._judge(batch)
            except ShardError:
                raise
            except Exception:
                if not self.drops_errors:
                    raise
                found += [self._judge_alone(document) for document in batch]
        return found

    def _judge_alone(self, given: Given) -> Outcome:
        try:
            return self._judge([given])[0]
        except ShardError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again, or told as the reason
            return self._failed(given, error)

    def _judge(self, given: Sequence[Given]) -> list[Outcome]:
        documents = [document.document() for document in given]
        decided = list(self.block.filter_batch(documents))
        if len(decided) != len(given):
            message = f"filter_batch() of {self.name} gave {len(decided)} results for {len(given)}"
            hint = "return one result for each document of the batch"
            raise ShardError("block-result", message, hint)
        return [self._outcome(*pair) for pair in zip(given, documents, decided, strict=True)]

    def _outcome(self, given: Given, document: Document, decided: Any) -> Outcome:
        keep, reason = decided if isinstance(decided, tuple) else (decided, None)
        if document.id != given.id or not isinstance(document.text, str):
            message = f"{self.name} replaced the id, or the text by none, of document {given.id!r}"
            raise ShardError("block-result", message, "a block may edit text and metadata")
        reason = "" if keep else str(reason or self.name)
        text = document.text if keep else given.text
        after = document.metadata
        before = given.fields()
        if _packed(after) == _packed(before):
            return _unchanged(given, text, reason)
        written = {k: v for k, v in after.items() if k not in before or _differ(before[k], v)}
        rest = {k: v for k, v in after.items() if not _has_column(given, k, written)}
        columns = {
            name: after.get(name) if name in written or name not in after else getattr(given, name)
            for name in _COLUMNS
        }
        metadata = _packed(rest).decode() if rest else None
        return Outcome(text, reason, **columns, metadata=metadata, written=written)

    def _failed(self, given: Given, error: Exception) -> Outcome:
        """The document dropped, for the error that the block raised; or that error.

        An import that fails is no fault of the document.
        """
        if not self.drops_errors or isinstance(error, ImportError):
            raise error
        details = f"{type(error).__name__}: {error}"
        return _unchanged(given, given.text, ERROR, {"error": details})

    def _ask_again(self, given: Sequence[Given], found: Sequence[Outcome]) -> None:
        """Raises ShardError where the block answers otherwise in another order."""
        pairs = list(zip(given, found, strict=False))[::-1]
        # What a process ended with, or did not end with in time, depends on the machine.
        settled = [(one, was) for one, was in pairs if was.reason not in (TIMEOUT, BROKEN)]
        again = self._run([one for one, _ in settled])
        for (one, was), now in zip(settled, again, strict=True):
            if was != now and now.reason not in (TIMEOUT, BROKEN):
                message = f"{self.name} gave another result when asked again about {one.id!r}"
                hint = "what it decides must follow from the document alone, not from those before"
                raise ShardError("depends-on-order", message, hint)


def signals_of(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The values [rows] that a block wrote, by field: numbers as such, all else as text."""
    names = dict.fromkeys(name for outcome in outcomes for name in outcome.written)
    return {name: _signal([outcome.written.get(name) for outcome in outcomes]) for name in names}


def _signal(values: Sequence[Any]) -> Any:
    if all(value is None or isinstance(value, int | float | np.number) for value in values):
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    texts = [v if v is None or isinstance(v, str) else _packed(v).decode() for v in values]
    return pa.array(texts, pa.large_string())


def _given(docs: Docs) -> Iterator[Given]:
    names = ("id", "text", *_COLUMNS, "metadata", "_source")
    make: Callable[..., Given] = Given
    return map(make, *(docs.column(name).to_pylist() for name in names))


def _unchanged(
    given: Given, text: str, reason: str = "", written: dict[str, Any] | None = None
) -> Outcome:
    """The document with its columns as they were."""
    return Outcome(text, reason, given.url, given.language, given.metadata, written or {})


def _has_column(given: Given, name: str, written: dict[str, Any]) -> bool:
    """Whether a field of metadata is kept in a column of its own, or is none of the document's."""
    if name in _COLUMNS:
        return name in written or getattr(given, name) is not None
    return name == _FILE_PATH and name not in written


def _packed(value: Any) -> bytes:
    return orjson.dumps(value, option=_JSON)


def _differ(one: Any, other: Any) -> bool:
    return _packed(one) != _packed(other)
