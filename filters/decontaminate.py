"""Find documents that contain items of evaluation sets, verbatim or lightly edited.

Overlap with evaluation items by 13-grams is how GPT-3 was decontaminated (Brown et al. 2020,
arXiv:2005.14165, appendix C), and half of an item in common is the limit of Tülu 3 (Lambert et al.
2024, arXiv:2411.15124, section 3.2). docs/decontamination.md has what this rule finds and what not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field, JsonValue, PrivateAttr, model_validator

from filters.evaluation_items import (
    Coverage,
    Evaluation,
    EvaluationFile,
    EvaluationIndex,
    Hits,
    Limits,
    Paths,
    build,
    load,
    stamp_of,
)
from winnow import (
    Docs,
    FilterResult,
    Listing,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    Rule,
    ShardError,
    Signals,
    ThresholdFilter,
    list_files,
)

COLUMNS = {"contaminated_by": pa.large_string(), "contamination": pa.float64()}


class Decontaminate(NamesFiles, ThresholdFilter):
    """Drop documents that contain evaluation items, verbatim or with a few words changed.

    Words are compared without case, punctuation, accents and numbers. Of every item the question
    is looked for, answers of ``ngram`` words or more, and, where the question is shorter than that,
    the question followed by each answer; all from ``min_words`` words on. ``overlap`` is the number
    of words that a document has in common with one of these, in order, less the edits between them
    (words replaced, left out, put in), as a share of its words. A text of fewer than ``ngram`` +
    2 ``max_edits`` words counts if all of it is there but for ``max_edits`` edits (one in four
    words at most); of a longer one it is enough that ``ngram`` words are there. A document is
    dropped where ``overlap`` is ``min_overlap`` or more.

    ``contaminated_by`` names the items, ``set#line``, the largest overlap first;
    ``contaminated_text`` is the stretch with the largest, normalised.
    """

    kernels: ClassVar[tuple[str, ...]] = ("ngrams", "text", "words")

    evaluations: dict[str, Paths | Evaluation] = Field(
        min_length=1,
        description="evaluation sets by name: paths of files of JSON lines or Parquet, relative to "
        "the manifest, or `paths` with the `fields` to read",
    )
    ngram: int = Field(
        13,
        ge=4,
        le=1_000,
        description="words in common, less edits, by which part of a text counts",
    )
    min_words: int = Field(8, ge=3, description="shorter questions and answers are not looked for")
    max_edits: int = Field(2, ge=0, le=8, description="edits that a short text may have")
    min_overlap: float = Field(
        0.5, gt=0, le=1, description="share of an item's words from which a document is dropped"
    )
    max_document_frequency: int = Field(
        10,
        ge=1,
        description="word trigrams that more evaluation items have are not looked for: they are "
        "how questions are worded",
    )
    common: Paths = Field(
        (),
        description="files of JSON lines or Parquet with texts that may repeat items (laws, "
        "scripture, licences); what they contain half of is not looked for",
    )
    mode: Literal["drop", "tag"] = Field(
        "drop",
        description="`tag` drops nothing and appends the columns `contaminated_by` (null where "
        "there is none) and `contamination` (the overlap)",
    )

    # The files as they were when the manifest was checked; from then on they may not change.
    _listed: tuple[EvaluationFile, ...] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _lengths_fit(self) -> Decontaminate:
        if self.min_words > self.ngram:
            raise ValueError(f"min_words {self.min_words} is more than ngram {self.ngram}")
        return self

    def files(self) -> Mapping[Location, Path]:
        return {place: file.path for place, file in self._files().items()}

    def missing(self, place: Location, path: Path) -> Problem:
        pattern = self._written(path)
        for wrong in self._list(pattern).problems:
            if wrong.code != "no-files":
                return Problem(place, wrong.code, wrong.message, wrong.hint)
        message = f"no file matches '{pattern}'"
        return Problem(place, "no-evaluation-file", message, "paths begin at the manifest's folder")

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from super().check(view)
        files = self._files()
        self._listed = tuple(files.values())
        unread = [
            problem
            for place, file in files.items()
            for problem in (_check_items(place, file) if file.stamp is not None else ())
        ]
        yield from unread
        if not unread and all(file.stamp is not None for file in files.values()):
            yield from self._check_coverage()

    def _check_coverage(self) -> Iterator[Problem]:
        """A set of which nothing is looked for is a mistake, not a clean corpus."""
        try:
            # Built anew when work begins, which finds out whether files have changed since.
            coverage = build(*self._indexed()).coverage
        except ShardError as error:
            yield Problem(("evaluations",), error.code, error.message, error.hint)
            return
        for name, counts in coverage.items():
            if counts["looked_for"] == 0:
                message = f"0 of {counts['items']:,} items of '{name}' would be looked for: "
                hint = "lower `min_words`" if counts["too_short"] else ""
                if counts["too_common"]:
                    hint += f"{' or ' if hint else ''}raise `max_document_frequency`"
                yield Problem(
                    ("evaluations", name),
                    "nothing-to-look-for",
                    message + _reasons(counts),
                    f"name the `fields` with the whole question and answer, or {hint}",
                )

    def adds(self) -> dict[str, pa.DataType]:
        return COLUMNS if self.mode == "tag" else {}

    def coverage(self) -> Coverage:
        """By evaluation set, how many items there are, are looked for, and are not and why."""
        return self._index.coverage

    def metrics(self) -> Mapping[str, JsonValue]:
        coverage = self.coverage()
        partial = [
            f"{counts['looked_for']:,} of {counts['items']:,} items of '{name}' were looked for; "
            f"{_reasons(counts)}"
            for name, counts in coverage.items()
            if counts["looked_for"] < counts["items"]
        ]
        sets: dict[str, JsonValue] = {name: {**counts} for name, counts in coverage.items()}
        return {"evaluations": sets, "warnings": [*partial]}

    def measure(self, docs: Docs) -> Signals:
        return self._signals(self._index.look(docs.text), len(docs))

    def rules(self) -> list[Rule]:
        if self.mode == "tag":
            return []
        # A rule keeps what is at its limit; an overlap of min_overlap is to go.
        limit = float(np.nextafter(self.min_overlap, 0))
        return [Rule("contaminated", "overlap", "min_overlap", most=limit)]

    def filter(self, docs: Docs) -> FilterResult:
        index = self._index
        hits = index.look(docs.text)
        signals = self._signals(hits, len(docs))
        items, stretches = hits.explained(len(docs), self.min_overlap, index.names)
        explained = {"contaminated_by": items, "contaminated_text": stretches}
        columns = dict(zip(COLUMNS, (items, signals["overlap"]), strict=True))
        return replace(
            self.apply(signals),
            signals={**signals, **explained},
            columns=columns if self.mode == "tag" else {},
        )

    def _signals(self, hits: Hits, rows: int) -> Signals:
        return {
            "overlap": hits.best(rows),
            "contaminated_items": hits.counts(rows, self.min_overlap),
        }

    @property
    def _index(self) -> EvaluationIndex:
        # In a cache of the process, so that a step handed to a worker does not carry it along.
        return load(*self._indexed())

    def _indexed(self) -> tuple[tuple[EvaluationFile, ...], Limits]:
        files = self._listed or tuple(self._files().values())
        limits = Limits(self.ngram, self.min_words, self.max_edits, self.max_document_frequency)
        return files, limits

    def _files(self) -> dict[Location, EvaluationFile]:
        """Every file by the place that names it; a pattern that no file matches is one itself."""
        found = self._matched("", ("common",), self.common, None)
        for name, value in self.evaluations.items():
            if isinstance(value, Evaluation):
                place = ("evaluations", name, "paths")
                found |= self._matched(name, place, value.paths, value.fields)
            else:
                found |= self._matched(name, ("evaluations", name), value, None)
        return found

    def _list(self, pattern: str) -> Listing:
        return list_files(self.located(Path()), [pattern], follow_links=True)

    def _matched(
        self, name: str, place: Location, paths: Paths, fields: tuple[str, ...] | None
    ) -> dict[Location, EvaluationFile]:
        patterns = (
            {place: paths}
            if isinstance(paths, str)
            else {(*place, number): path for number, path in enumerate(paths)}
        )
        matched: dict[Location, Path] = {}
        for where, pattern in patterns.items():
            files = [file.path for file in self._list(pattern).files]
            # The first takes the place of the pattern, so that problems have one to name.
            for number, file in enumerate(files or [self.located(Path(pattern))]):
                matched[(*where, number) if number else where] = file
        return {
            where: EvaluationFile(
                name, path, self._written(path), fields, len(matched) == 1, stamp_of(path)
            )
            for where, path in matched.items()
        }


def _reasons(counts: Mapping[str, int]) -> str:
    """Why items of a set are not looked for."""
    reasons = {
        "too_short": "have fewer words than `min_words`",
        "too_common": "are worded like many others (`max_document_frequency`) or in `common`",
    }
    return ", ".join(f"{counts[name]:,} {why}" for name, why in reasons.items() if counts[name])


def _check_items(place: Location, file: EvaluationFile) -> Iterator[Problem]:
    try:
        # All of them are read, so that a line that cannot be is found now.
        if not sum(bool(item.prompts or item.answers) for item in file.items()):
            hint = "name the `fields` that hold it"
            yield Problem(place, "no-text", f"'{file.name}' has no item with text", hint)
    except ShardError as error:
        yield Problem(place, error.code, error.message, error.hint)
