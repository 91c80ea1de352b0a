"""Items of evaluation sets: read from files, and indexed so that documents can be searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

import kernels.ngrams
import kernels.text
import kernels.words
from winnow import ShardError, find_field, read_rows

# What fields of evaluation sets are called, by their part in an item.
PROMPTS: tuple[str, ...] = (
    *("query", "question", "prompt", "problem", "instruction", "input", "goal", "premise"),
    *("text", "sentence", "sentence1", "sentence2", "ctx", "context", "contexts", "passage"),
    *("good", "bad", "sentence_good", "sentence_bad"),
)
ANSWERS: tuple[str, ...] = (
    *("answer", "answers", "choices", "options", "endings", "sol1", "sol2", "option1", "option2"),
    *("choice1", "choice2", "continuation", "completion", "target", "hypothesis", "solution"),
    *("code", "canonical_solution"),
)

COMMON_SHARE = 0.5  # of a text that a common one must contain
MAX_NAMED = 20  # items that are named for one document
MAX_SHOWN = 300  # bytes of the stretch that is shown

Paths = str | tuple[str, ...]
Numbers = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]
Coverage = dict[str, dict[str, int]]
Stamp = tuple[int, int] | None


class Evaluation(BaseModel):
    """Files of one evaluation set, and which fields of its items are text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    paths: Paths = Field(description="a glob or a list of them, from the manifest's folder")
    fields: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="fields to read, that of the question first, then those of answers, "
        "nested ones as `a.b`; by default all that are commonly so named",
    )


@dataclass(frozen=True)
class Item:
    """One row of an evaluation file. ``prompts`` are questions or texts, each by itself."""

    name: str
    prompts: tuple[str, ...]
    answers: tuple[str, ...]


@dataclass(frozen=True)
class EvaluationFile:
    """``name`` is what users see; ``evaluation`` is the set's name, "" for common texts; lines of
    one that is not ``alone`` in its set are named after it; ``stamp`` tells whether it changed."""

    evaluation: str
    path: Path
    name: str
    fields: tuple[str, ...] | None
    alone: bool
    stamp: Stamp

    def items(self) -> Iterator[Item]:
        """Every row of the file. ShardError when the file or a row cannot be read."""
        if stamp_of(self.path) != self.stamp:
            message = f"{self.name} has changed since it was planned"
            raise ShardError("input-changed", message, "leave it alone, and run again")
        prompts = self.fields[:1] if self.fields else PROMPTS
        answers = self.fields[1:] if self.fields else ANSWERS
        stem = self.evaluation if self.alone else f"{self.evaluation}/{self.path.name}"
        for number, row in read_rows(self.path, self.name):
            yield Item(
                f"{stem}#{number}",
                tuple(text for name in prompts for text in _strings(find_field(row, name))),
                tuple(text for name in answers for text in _strings(find_field(row, name))),
            )


def stamp_of(path: Path) -> Stamp:
    """Size and time of the last change, None when there is no such file."""
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _strings(value: Any) -> Iterator[str]:
    """The texts in a JSON value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


@dataclass(frozen=True)
class Limits:
    """Parameters of ``Decontaminate`` that decide what is indexed."""

    ngram: int
    min_words: int
    max_edits: int
    max_document_frequency: int


@dataclass(frozen=True)
class Hits:
    """Texts of items found in documents [hits]; ``item`` is a number, ``share`` the overlap.

    ``begin`` and ``end`` are where it lies in ``normalised``, in bytes.
    """

    row: Numbers
    item: Numbers
    share: Shares
    begin: Numbers
    end: Numbers
    normalised: pa.LargeStringArray

    def best(self, rows: int) -> Shares:
        """The largest share [rows], 0 where nothing was found."""
        shares = np.zeros(rows, np.float64)
        np.maximum.at(shares, self.row, self.share)
        return shares

    def counts(self, rows: int, least: float) -> Numbers:
        """How many items [rows] were found with a share of ``least`` or more."""
        pairs = np.stack([self.row, self.item], axis=1)[self.share >= least]
        return np.bincount(np.unique(pairs, axis=0)[:, 0], minlength=rows).astype(np.int64)

    def explained(
        self, rows: int, least: float, names: Sequence[str]
    ) -> tuple[pa.LargeStringArray, pa.LargeStringArray]:
        """Per row the items found with a share of ``least`` or more, the largest first, and the
        stretch of the first; null where there are none."""
        items: list[dict[str, None]] = [{} for _ in range(rows)]
        stretches: list[str | None] = [None] * rows
        for hit in np.lexsort((self.item, -self.share)).tolist():
            row = int(self.row[hit])
            if self.share[hit] < least:
                break
            if not items[row]:
                text = self.normalised[row].as_py().encode()
                stretch = text[self.begin[hit] : min(self.end[hit], self.begin[hit] + MAX_SHOWN)]
                stretches[row] = stretch.decode("utf-8", "ignore")
            items[row][names[self.item[hit]]] = None
        joined = [_listed(list(found)) for found in items]
        return pa.array(joined, pa.large_string()), pa.array(stretches, pa.large_string())


def _listed(names: list[str]) -> str | None:
    more = len(names) - MAX_NAMED
    shown = ", ".join(names[:MAX_NAMED]) + (f" and {more} more" if more > 0 else "")
    return shown or None


@dataclass(frozen=True)
class EvaluationIndex:
    """Texts of items, by what documents may hold of them.

    ``owners`` [texts] are positions in ``names``; ``sizes`` [texts] are counts of words. Coverage
    is by evaluation set: its ``items``, those ``looked_for``, those ``too_short`` and those
    ``too_common`` to be; and the ``texts`` looked for.
    """

    index: kernels.ngrams.NgramIndex
    owners: Numbers
    sizes: Numbers
    names: tuple[str, ...]
    coverage: Coverage

    def look(self, text: pa.LargeStringArray) -> Hits:
        """What the documents ``text`` hold."""
        found, normalised = self.index.search(text)
        share = found.score / self.sizes[found.passage]
        item = self.owners[found.passage]
        return Hits(found.row, item, share, found.begin, found.end, normalised)


@lru_cache(maxsize=2)
def load(files: tuple[EvaluationFile, ...], limits: Limits) -> EvaluationIndex:
    """As ``build``, once in a process."""
    return build(files, limits)


def build(files: tuple[EvaluationFile, ...], limits: Limits) -> EvaluationIndex:
    """The index of ``files``. ShardError when one cannot be read, or has changed."""
    items = [(file.evaluation, item) for file in files for item in file.items()]
    asked = [item for evaluation, item in items if evaluation]
    common = [text for name, item in items if not name for text in item.prompts + item.answers]
    texts, owners = _texts(asked, limits)
    index, same = _indexed(texts, owners, limits)
    drafted = owners
    if common:
        hits, _ = index.search(pa.array(common, pa.large_string()))
        sizes = np.diff(index.arrays.starts)
        repeated = hits.passage[hits.score >= COMMON_SHARE * sizes[hits.passage]]
        kept = np.flatnonzero(~np.isin(same, repeated))
        texts, owners = [texts[i] for i in kept.tolist()], owners[kept]
        index, same = _indexed(texts, owners, limits)
    _, first = np.unique(same, return_index=True)
    looked_for = np.unique(owners[index.indexed[same]])
    return EvaluationIndex(
        index,
        owners[first],
        np.diff(index.arrays.starts),
        tuple(item.name for item in asked),
        _coverage(
            [name for name, _ in items if name], np.unique(drafted), looked_for, owners[first]
        ),
    )


def _coverage(sets: list[str], drafted: Numbers, looked_for: Numbers, texts: Numbers) -> Coverage:
    """From the set of every item, and the items that have a text at each stage."""
    names, kind = np.unique(np.array(sets, dtype=np.str_), return_inverse=True)
    items, long, found, counts = (
        np.bincount(kind[rows], minlength=len(names)).tolist()
        for rows in (np.arange(len(sets)), drafted, looked_for, texts)
    )
    return {
        name: {
            "items": items[i],
            "looked_for": found[i],
            "too_short": items[i] - long[i],
            "too_common": long[i] - found[i],
            "texts": counts[i],
        }
        for i, name in enumerate(names.tolist())
    }


def _texts(items: Sequence[Item], limits: Limits) -> tuple[list[str], Numbers]:
    """What is looked for of every item, and the number of the item."""
    parts = [part for item in items for part in item.prompts + item.answers]
    lengths = iter(_lengths(parts).tolist())
    texts: list[str] = []
    owners: list[int] = []
    for number, item in enumerate(items):
        prompts = [(prompt, next(lengths)) for prompt in item.prompts]
        answers = [(answer, next(lengths)) for answer in item.answers]
        wanted = [prompt for prompt, words in prompts if words >= limits.min_words]
        wanted += [
            f"{prompt} {answer}"
            for prompt, words in prompts
            for answer, more in answers
            if words < limits.ngram and words + more >= limits.min_words
        ]
        wanted += [answer for answer, words in answers if words >= limits.ngram]
        texts += wanted
        owners += [number] * len(wanted)
    return texts, np.array(owners, np.int64)


def _lengths(texts: Sequence[str]) -> Numbers:
    """How many words each text has."""
    vocabulary, normalised = _words(texts)
    return np.diff(vocabulary.read(normalised).starts)


def _words(texts: Sequence[str]) -> tuple[kernels.words.Vocabulary, pa.LargeStringArray]:
    """The words of the texts, and the texts normalised."""
    normalised = kernels.text.normalise(pa.array(texts, pa.large_string()))
    try:
        return kernels.words.Vocabulary.of(normalised), normalised
    except ValueError as error:
        message, hint = f"the evaluation sets have {error}", "name some in a step of their own"
        raise ShardError("too-many-words", message, hint) from error


def _indexed(
    texts: Sequence[str], owners: Numbers, limits: Limits
) -> tuple[kernels.ngrams.NgramIndex, npt.NDArray[np.int64]]:
    """An index of the texts that differ in words, and which of them each text [texts] is."""
    vocabulary, normalised = _words(texts)
    words = vocabulary.read(normalised)
    numbers: dict[bytes, int] = {}
    starts = words.starts.tolist()
    same = [
        numbers.setdefault(words.ids[begin:end].tobytes(), len(numbers))
        for begin, end in pairwise(starts)
    ]
    _, first = np.unique(np.array(same, np.int64), return_index=True)
    words = vocabulary.read(normalised.take(pa.array(first)))
    sizes = np.diff(words.starts)
    whole = sizes < limits.ngram + 2 * limits.max_edits
    least = sizes - 2 * np.minimum(limits.max_edits, sizes // 4)
    index = kernels.ngrams.NgramIndex.build(
        vocabulary,
        words,
        whole,
        np.where(whole, least, limits.ngram),
        owners[first],
        limits.max_document_frequency,
    )
    return index, np.array(same, np.int64)
