"""Score documents by a classifier trained on sources held to be good against others.

The recipe of DCLM (Li et al. 2024, arXiv 2406.11794, section 4.4): fastText, positive against
negative documents, the score is P(positive).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field

from classifiers.agreement.agreement_metrics import evaluate
from classifiers.sampling import hash_of, lowest_ranked, place_hash, read_rows
from classifiers.students.fasttext_classifier import (
    Entry,
    FastTextClassifier,
    load,
    write_card,
)
from classifiers.students.fasttext_training import Settings, library, train
from classifiers.students.view import Texts, beginning
from winnow import (
    DOCUMENT_SCHEMA,
    Docs,
    FilterResult,
    GlobalStep,
    ManifestView,
    Position,
    Problem,
    ReduceInput,
    ReportSection,
    ShardError,
    sha256_file,
)

MIN_DOCUMENTS = 50
HELD_OUT = 0.1
TELLING_WORDS = 20
MODEL = "model.bin"
SIDES = {"positive": 1, "negative": -1}

Names = str | Annotated[tuple[str, ...], Field(min_length=1)]
Hashed = tuple[int, str]
Counts = dict[str, dict[str, int]]


class Classes(BaseModel):
    """Names of the sources that stand for the two classes, one or several each."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    positive: Names = Field(description="source or sources of good documents")
    negative: Names = Field(description="source or sources of the others")

    def names(self, side: str) -> tuple[str, ...]:
        value: Names = getattr(self, side)
        return (value,) if isinstance(value, str) else value

    def check(self, known: Sequence[str]) -> Iterator[Problem]:
        """Sources that do not exist, or that stand on both sides; paths begin at ``train``."""
        for side in SIDES:
            single = isinstance(getattr(self, side), str)
            for number, name in enumerate(self.names(side)):
                path = ("train", side) if single else ("train", side, number)
                if name not in known:
                    close = get_close_matches(name, known, n=1)
                    hint = f"did you mean {close[0]}?" if close else f"one of {', '.join(known)}"
                    yield Problem(path, "unknown-source", f"no source is named {name}", hint)
                elif side == "negative" and name in self.names("positive"):
                    message = f"{name} is both positive and negative"
                    hint = "name sources that differ"
                    yield Problem(path, "source-on-both-sides", message, hint)


class Classify(GlobalStep, Settings):
    """Append a quality score: P(positive) by a classifier of positive against negative sources.

    Nothing is dropped. Up to ``max_documents`` distinct documents of each class, as many of one as
    of the other, are sampled by a hash of where they come from; a tenth of them measures the model
    and the others train it. ``seed`` picks the sample and starts the training (default: the
    manifest's). Documents without any word score 0.
    """

    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"train"})

    train: Classes
    student: Literal["fasttext"] = Field(default="fasttext", description="kind of classifier")
    column: str = Field(
        default="quality",
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$",
        description="name of the column with the score, from 0 to 1",
    )
    max_documents: int = Field(
        default=20_000, ge=MIN_DOCUMENTS, description="most documents of a class to learn from"
    )
    seed: int | None = Field(
        default=None, ge=0, description="seed of sample and training; by default the manifest's"
    )

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from self.train.check(view.sources)
        if self.column in (*DOCUMENT_SCHEMA.names, *view.columns):
            yield Problem(
                ("column",),
                "column-exists",
                f"documents already have a column {self.column}",
                "choose another name",
            )

    def adds(self) -> tuple[str, ...]:
        return (self.column,)

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``label`` [rows]: 1 positive, -1 negative, 0 neither; ``hash`` [rows] of the place.

        Texts are not copied: ``reduce`` finds them by row.
        """
        source = docs.column("source")
        label = np.zeros(len(docs), dtype=np.int8)
        for side, value in SIDES.items():
            known = pa.array(self.train.names(side), type=source.type)
            label[pc.is_in(source, value_set=known).to_numpy(zero_copy_only=False)] = value
        place = place_hash(docs.column("_source"), docs.column("_offset"))
        return pa.RecordBatch.from_arrays([pa.array(label), pa.array(place)], ["label", "hash"])

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        # 31 bits are all that fastText takes.
        seed = (reduce_input.seed if self.seed is None else self.seed) % 2**31
        positive, negative, counts = self._sample(reduce_input, seed)
        held = max(1, round(len(positive) * HELD_OUT))
        learned = sorted(
            (key, side, text)
            for side, pairs in (("positive", positive), ("negative", negative))
            for key, text in pairs[held:]
        )
        seen = texts_of([text for *_, text in learned]).seen.to_pylist()
        model = folder / MODEL
        train(zip([side for _, side, _ in learned], seen, strict=True), self, seed, model)
        student = FastTextClassifier(model)
        held_out = [
            student.score(texts_of([text for _, text in pairs[:held]]), "positive")
            for pairs in (positive, negative)
        ]
        card: dict[str, Any] = {
            "student": self.student,
            "library": library(),
            "positive": list(self.train.names("positive")),
            "negative": list(self.train.names("negative")),
            "settings": self.model_dump(include=set(Settings.model_fields)),
            "max_documents": self.max_documents,
            "seed": seed,
            "documents": counts,
            "trained_on": {"positive": len(positive) - held, "negative": len(negative) - held},
            "held_out": evaluate(held_out[0], held_out[1], seed),
            "telling": telling(student),
            "model": {"bytes": model.stat().st_size, "sha256": sha256_file(model)},
        }
        write_card(folder / "card.json", card)
        words = {side: [entry["word"] for entry in card["telling"][side]] for side in SIDES}
        return {**card, "telling": words}

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        scores = load(artifacts / MODEL).score(Texts(docs.text), "positive")
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns={self.column: scores})

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.classify_section import sections

        return sections(label, self.column, artifacts)

    def _sample(
        self, reduce_input: ReduceInput, seed: int
    ) -> tuple[list[Hashed], list[Hashed], Counts]:
        """Equally many distinct documents of each class, ordered by hash, and counts."""
        distinct: dict[str, dict[int, str]] = {}
        counts: Counts = {}
        for side, label in SIDES.items():
            places, found = lowest_ranked(reduce_input.mapped, label, self.max_documents, seed)
            raw = read_rows(reduce_input.documents, places, ["text"], beginning)["text"].to_pylist()
            texts = texts_of(raw)
            rows = zip(texts.seen.to_pylist(), raw, texts.blank.tolist(), strict=True)
            distinct[side] = {hash_of(seen, seed): text for seen, text, blank in rows if not blank}
            counts[side] = {"found": found, "sampled": len(places)}
        # A text of both classes teaches nothing, and its copy would betray the held-out one.
        both = distinct["positive"].keys() & distinct["negative"].keys()
        classes = [[(k, t) for k, t in distinct[side].items() if k not in both] for side in SIDES]
        for side, pairs in zip(SIDES, classes, strict=True):
            counts[side]["distinct"] = len(pairs)
            if len(pairs) < MIN_DOCUMENTS:
                raise ShardError(
                    "too-few-documents",
                    f"{len(pairs)} distinct {side} documents to learn from, "
                    f"{MIN_DOCUMENTS} are needed: {', '.join(self.train.names(side))} had "
                    f"{counts[side]['found']} and {len(both)} are of both classes",
                    "add documents, name more sources, or loosen the steps before this one",
                )
        size = min(map(len, classes))
        return sorted(classes[0][:size]), sorted(classes[1][:size]), counts


def texts_of(raw: Sequence[str]) -> Texts:
    return Texts(pa.array(raw, pa.large_string()))


def telling(student: FastTextClassifier) -> dict[str, list[Entry]]:
    """The words that push a document to either side; ``weight`` is what they add to its log-odds
    of being positive."""
    directions = {
        side: {name: value * sign for name, value in SIDES.items()} for side, sign in SIDES.items()
    }
    words = student.telling(directions, TELLING_WORDS)
    for entry in words["negative"]:
        entry["weight"] = -entry["weight"]
    return words
