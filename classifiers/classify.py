"""Score documents by a classifier trained on sources held to be good against others.

The recipe of DCLM (Li et al. 2024, arXiv 2406.11794, section 4.4): fastText, positive against
negative documents, the score is P(positive).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field
from xxhash import xxh3_64_intdigest

from classifiers.agreement.two_classes import evaluate
from classifiers.fasttext_student import (
    NEGATIVE,
    POSITIVE,
    FastTextStudent,
    Settings,
    is_blank,
    load,
    train,
    view,
    write_card,
)
from pipeline.documents import DOCUMENT_SCHEMA, Docs
from pipeline.errors import Problem, ShardError
from pipeline.fingerprint import sha256_file
from pipeline.panel import Chapter
from pipeline.step import BarrierStep, Evidence, ManifestView, Position, Verdict

MIN_DOCUMENTS = 50
HELD_OUT = 0.1
TELLING_WORDS = 20
MODEL = "model.bin"
SIDES = {"positive": 1, "negative": -1}

Names = str | Annotated[tuple[str, ...], Field(min_length=1)]
Hashes = npt.NDArray[np.uint64]
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


class Classify(BarrierStep, Settings):
    """Append a quality score: P(positive) by a classifier of positive against negative sources.

    Nothing is dropped. Up to ``max_documents`` distinct documents of each class, as many of one as
    of the other, are sampled by a hash of where they come from; a tenth of them measures the model
    and the others train it. ``seed`` picks the sample and starts the training (default: the
    manifest's). Documents without any word score 0.
    """

    observed_parameters: ClassVar[frozenset[str] | None] = frozenset({"train"})

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

    def observe(self, docs: Docs) -> pa.RecordBatch:
        """``label`` [rows]: 1 positive, -1 negative, 0 neither; ``hash`` [rows] of the place.

        Texts are not copied: ``conclude`` finds them by row.
        """
        source = docs.column("source")
        label = np.zeros(len(docs), dtype=np.int8)
        for side, value in SIDES.items():
            known = pa.array(self.train.names(side), type=source.type)
            label[pc.is_in(source, value_set=known).to_numpy(zero_copy_only=False)] = value
        place = place_hash(docs.column("_source"), docs.column("_offset"))
        return pa.RecordBatch.from_arrays([pa.array(label), pa.array(place)], ["label", "hash"])

    def conclude(self, evidence: Evidence, folder: Path) -> Mapping[str, Any]:
        # 31 bits are all that fastText takes.
        seed = (evidence.seed if self.seed is None else self.seed) % 2**31
        positive, negative, counts = self._sample(evidence, seed)
        held = max(1, round(len(positive) * HELD_OUT))
        documents = sorted(
            [(key, POSITIVE, seen) for key, seen in positive[held:]]
            + [(key, NEGATIVE, seen) for key, seen in negative[held:]]
        )
        model = folder / MODEL
        train([(label, seen) for _, label, seen in documents], self, seed, model)
        student = FastTextStudent(model)
        card: dict[str, Any] = {
            "student": self.student,
            "library": f"fasttext-numpy2 {version('fasttext-numpy2')}",
            "positive": list(self.train.names("positive")),
            "negative": list(self.train.names("negative")),
            "settings": self.model_dump(include=set(Settings.model_fields)),
            "max_documents": self.max_documents,
            "seed": seed,
            "documents": counts,
            "trained_on": {"positive": len(positive) - held, "negative": len(negative) - held},
            "held_out": evaluate(
                student.score([seen for _, seen in positive[:held]]),
                student.score([seen for _, seen in negative[:held]]),
                seed,
            ),
            "telling": student.telling(TELLING_WORDS),
            "model": {"bytes": model.stat().st_size, "sha256": sha256_file(model)},
        }
        write_card(folder / "card.json", card)
        words = {side: [entry["word"] for entry in card["telling"][side]] for side in SIDES}
        return {**card, "telling": words}

    def judge(self, docs: Docs, findings: Path, at: Position) -> Verdict:
        student = load(findings / MODEL)
        scores = student.score(view(docs.text).to_pylist())
        return Verdict(np.ones(len(docs), dtype=np.bool_), columns={self.column: scores})

    def chapters(self, label: str, findings: Path, facts: Mapping[str, Any]) -> Sequence[Chapter]:
        from classifiers.classify_chapter import chapters

        return chapters(label, self.column, findings)

    def _sample(self, evidence: Evidence, seed: int) -> tuple[list[Hashed], list[Hashed], Counts]:
        """Equally many distinct documents of each class, ordered by hash, and counts."""
        seen: dict[str, dict[int, str]] = {}
        counts: Counts = {}
        for side, label in SIDES.items():
            places, found = lowest_ranked(evidence.observations, label, self.max_documents, seed)
            texts = read_views(evidence.documents, places)
            seen[side] = {hash_of(text, seed): text for text in texts if not is_blank(text)}
            counts[side] = {"found": found, "sampled": len(places)}
        # A text of both classes teaches nothing, and its copy would betray the held-out one.
        both = seen["positive"].keys() & seen["negative"].keys()
        classes = [[(k, t) for k, t in seen[side].items() if k not in both] for side in SIDES]
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


def hash_of(text: str, seed: int) -> int:
    return xxh3_64_intdigest(text.encode(), seed)


def mixed(values: Hashes) -> Hashes:
    """The finaliser of splitmix64 (Steele et al. 2014): bijective, every bit depends on all."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def place_hash(source: pa.LargeStringArray, offset: pa.Int64Array) -> Hashes:
    """A hash [rows] of (``_source``, ``_offset``), whatever batch or shard they are met in."""
    encoded = source.dictionary_encode()
    names = [hash_of(name, 0) for name in encoded.dictionary.to_pylist()]
    hashes = np.array(names, dtype=np.uint64)[encoded.indices.to_numpy()]
    return mixed(hashes ^ mixed(offset.to_numpy().view(np.uint64)))


def lowest_ranked(
    observations: Sequence[Path], label: int, limit: int, seed: int
) -> tuple[npt.NDArray[np.int64], int]:
    """(shard, row) [≤ limit, 2] of the documents with ``label`` whose seeded hash is lowest.

    A sample without replacement that does not depend on how documents are sharded. Also returns
    how many documents have the label.
    """
    salt = mixed(np.array([seed], dtype=np.uint64))
    ranks, places, found = np.empty(0, np.uint64), np.empty((0, 2), np.int64), 0
    for shard, path in enumerate(observations):
        table = pq.read_table(path, columns=["label", "hash"])
        rows = np.flatnonzero(table["label"].to_numpy() == label)
        found += len(rows)
        ranks = np.concatenate([ranks, mixed(table["hash"].to_numpy()[rows] ^ salt)])
        places = np.concatenate([places, np.column_stack([np.full_like(rows, shard), rows])])
        order = np.argsort(ranks, kind="stable")[:limit]
        ranks, places = ranks[order], places[order]
    return places, found


def read_views(documents: Sequence[Path], places: npt.NDArray[np.int64]) -> list[str]:
    """``view`` of the documents at (shard, row) [n, 2], in that order; only their row groups
    are read."""
    views: dict[tuple[int, int], str] = {}
    for shard in np.unique(places[:, 0]).tolist():
        rows = np.sort(places[places[:, 0] == shard, 1])
        with pq.ParquetFile(documents[shard]) as file:
            start = 0
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                inside = rows[(rows >= start) & (rows < end)]
                if len(inside):
                    text = file.read_row_group(group, columns=["text"])["text"]
                    seen = view(text.take(pa.array(inside - start))).to_pylist()
                    views.update(zip(((shard, int(row)) for row in inside), seen, strict=True))
                start = end
    return [views[shard, row] for shard, row in places.tolist()]
