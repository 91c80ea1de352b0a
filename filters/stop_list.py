"""Documents that contain listed words or phrases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pyarrow as pa
from pydantic import Field, model_validator

import kernels.match
import kernels.text
from winnow import (
    Docs,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    Rule,
    Signals,
    ThresholdFilter,
    cached_by_files,
)

if TYPE_CHECKING:
    from kernels.match import Automaton

MAX_AUTOMATON_BYTES = 2**30


class StopList(NamesFiles, ThresholdFilter):
    """Drop documents that contain a listed word or phrase.

    Entries are given in ``words``, one on each line of ``file``, or both; white space around an
    entry and blank lines mean nothing, and white space inside one is as it stands. The signals are
    the number of hits and the entry that is hit first (the longest of several there). With
    ``word_boundaries`` an edge of an entry that is a letter, digit or "_" must not have another
    one beside it in the text: "ass" is not in "class", "c++" is in "c++11".
    """

    kernels: ClassVar[tuple[str, ...]] = ("match", "text")

    words: tuple[str, ...] = Field((), description="words or phrases to look for")
    file: Path | None = Field(
        None, description="UTF-8 file with one on a line, from the manifest's folder"
    )
    ignore_case: bool = Field(True, description="compare the lower case of both")
    word_boundaries: bool = Field(True, description="find no entry inside a longer word")
    max_hits: int = Field(0, ge=0, description="most hits that a kept document may have")

    @model_validator(mode="after")
    def _lists_something(self) -> StopList:
        if self.file is None and not any(word.strip() for word in self.words):
            raise ValueError("list `words`, or name a `file` of them")
        return self

    def files(self) -> Mapping[Location, Path]:
        return {("file",): self.located(self.file)} if self.file is not None else {}

    def check(self, view: ManifestView) -> Iterator[Problem]:
        problems = list(super().check(view))
        yield from problems
        if problems or self.file is None:
            return
        path = self.located(self.file)
        try:
            listed = read_entries(path)
        except UnicodeDecodeError as error:
            message = f"'{self.file}' is not UTF-8: {error.reason}"
            yield Problem(("file",), "bad-list", message, "write the list as UTF-8")
            return
        if not listed:
            yield Problem(("file",), "empty-list", f"'{self.file}' lists nothing")
        elif (size := kernels.match.automaton_bytes(listed)) > MAX_AUTOMATON_BYTES:
            message = f"'{self.file}' would take {size / 2**30:.1f} GB of memory in every worker"
            yield Problem(("file",), "large-list", message, "list less, at most 1 GB")

    def measure(self, docs: Docs) -> Signals:
        entries, compiled = self._compiled()
        text = kernels.text.lower(docs.text) if self.ignore_case else docs.text
        hits = kernels.match.find_all(text, compiled, whole_words=self.word_boundaries)
        first = pa.array(hits.first, mask=hits.first < 0)
        return {
            "stop_list_hits": hits.counts,
            "stop_list_entry": pa.array(entries, pa.large_string()).take(first),
        }

    def rules(self) -> list[Rule]:
        return [Rule("stop_list", "stop_list_hits", "max_hits", most=self.max_hits)]

    def _compiled(self) -> tuple[Sequence[str], Automaton]:
        path = None if self.file is None else self.located(self.file)
        return _compile(self.words, self.ignore_case, path)


def read_entries(path: Path) -> list[str]:
    """The lines of a list that are not blank. Raises UnicodeDecodeError."""
    lines = path.read_text("utf-8-sig").split("\n")
    return [entry for line in lines if (entry := line.strip())]


@cached_by_files(maxsize=8)
def _compile(
    words: tuple[str, ...], ignore_case: bool, path: Path | None
) -> tuple[Sequence[str], Automaton]:
    """Entries as they are compared, without repeats."""
    listed = [word.strip() for word in words] + (read_entries(path) if path else [])
    seen = dict.fromkeys(word.lower() if ignore_case else word for word in listed if word)
    entries = sorted(seen)
    return entries, kernels.match.automaton(entries)
