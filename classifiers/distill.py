"""Train a small model on documents that a large one has labelled, and score all others by it.

So FineWeb-Edu scored 15 T tokens by 460,000 labels (Penedo et al. 2024, arXiv 2406.17557, section
4); students of soft labels are those of WebOrganizer (Wettig et al. 2025, arXiv 2502.10341).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from classifiers.sampling import (
    Hashes,
    hash_of,
    lowest_ranked,
    place_hash,
    read_rows,
)
from classifiers.students.embeddings import FastTextVectors, SentenceTransformer
from classifiers.students.fasttext_classifier import write_card
from classifiers.students.fasttext_training import Settings
from classifiers.students.figures import held_out, thresholds
from classifiers.students.soft_labels import SoftLabels, from_struct
from classifiers.students.student import Student, column_types
from classifiers.students.telling import telling
from classifiers.students.training import (
    CARD,
    Kind,
    Recipe,
    open_student,
    opened,
    train_student,
)
from classifiers.students.view import Texts, beginning
from winnow import (
    DOCUMENT_SCHEMA,
    Docs,
    FilterResult,
    GlobalStep,
    Location,
    ManifestView,
    NamesFiles,
    Position,
    Problem,
    ReduceInput,
    ReportSection,
    ShardError,
)

MIN_DOCUMENTS = 50
# Documents that measure the student: a tenth, but a hundred if that is no more than a fifth.
HELD_OUT, ENOUGH, AT_MOST = 0.1, 100, 0.2


@dataclass(frozen=True)
class Sample:
    """Distinct documents in the order of the hashes of what students see of them."""

    texts: Texts
    hashes: Hashes
    languages: Sequence[str | None]
    table: pa.Table

    def rows(self, chosen: npt.NDArray[np.int64]) -> Texts:
        return self.texts.take(chosen)


class Distill(NamesFiles, GlobalStep):
    """Train a student on labelled documents and append its score to all documents.

    It learns from the documents where ``{labels}_p`` is not null, distinct ones, and is measured on
    a tenth of them that it has not seen. Of a scale it appends ``column``, the expected grade
    (float32, the lowest grade for a document without any word); of categories the most probable
    one and ``{column}_confidence``, its probability (null and 0 without any word);
    ``{column}_student`` says which student it was. Nothing is dropped. The student is kept as the
    step's artifacts, where ``score`` takes it from for other corpora.
    """

    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"labels"})

    labels: str = Field(
        min_length=1, description="column with the labels, whose probabilities are in `{labels}_p`"
    )
    column: str = Field(
        pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="name of the column with the score"
    )
    student: Kind = Field(
        default="fasttext",
        description="`fasttext` classifies words and word n-grams, `linear` and `mlp` are heads "
        "on an embedding of the document",
    )
    fasttext: Settings = Field(default=Settings(), description="of the student `fasttext`")
    embedding: FastTextVectors | SentenceTransformer = Field(
        discriminator="kind",
        default=FastTextVectors(kind="fasttext"),
        description="what the heads see of a document",
    )
    hidden: int = Field(default=32, ge=1, le=4_096, description="units of `mlp`'s hidden layer")
    max_documents: int = Field(
        default=100_000, ge=MIN_DOCUMENTS, description="most labelled documents to learn from"
    )
    sample: int = Field(
        default=20_000,
        ge=1,
        description="documents, labelled or not, that thresholds are taken from",
    )
    seed: int | None = Field(
        default=None, ge=0, description="seed of samples and training; by default the manifest's"
    )

    def files(self) -> Mapping[Location, Path]:
        if self.student == "fasttext" or not isinstance(self.embedding, SentenceTransformer):
            return {}
        from classifiers.students.sentence_embedder import model_files

        folder = self.located(Path(self.embedding.model))
        return {
            ("embedding", "model", path.relative_to(folder).as_posix()): path
            for path in model_files(folder)
        }

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from super().check(view)
        probabilities = f"{self.labels}_p"
        if probabilities not in view.columns:
            labelled = [name[:-2] for name in view.columns if name.endswith("_p")]
            close = get_close_matches(self.labels, labelled, n=1)
            hint = f"did you mean {close[0]}?" if close else "put the step `label` before this one"
            message = f"no step before this one adds the column {probabilities}"
            yield Problem(("labels",), "unknown-column", message, hint)
        for name in self.adds():
            if name in (*DOCUMENT_SCHEMA.names, *view.columns):
                message = f"documents already have a column {name}"
                yield Problem(("column",), "column-exists", message, "choose another name")
        yield from self._check_unused()
        if self.student != "fasttext" and isinstance(self.embedding, SentenceTransformer):
            yield from self._check_encoder(self.embedding)

    def _check_unused(self) -> Iterator[Problem]:
        heads = ("linear", "mlp")
        for name, kinds in (
            ("fasttext", ("fasttext",)),
            ("embedding", heads),
            ("hidden", ("mlp",)),
        ):
            if name in self.model_fields_set and self.student not in kinds:
                message = f"{name} has no part in a student {self.student}"
                hint = f"leave it out, or student: {' or '.join(kinds)}"
                yield Problem((name,), "unused-parameter", message, hint)

    def _check_encoder(self, encoder: SentenceTransformer) -> Iterator[Problem]:
        from classifiers.students.sentence_embedder import INSTALL, installed

        if not installed():
            message = "sentence-transformers is not installed"
            yield Problem(("embedding", "kind"), "no-library", message, INSTALL)
        folder = self.located(Path(encoder.model))
        if not folder.is_dir() and encoder.revision is None:
            message = f"there is no folder '{encoder.model}', and of a hub's model no revision"
            hint = "paths begin at the manifest's folder; of a hub's model name the commit"
            yield Problem(("embedding", "model"), "no-revision", message, hint)

    def adds(self) -> dict[str, None]:
        # Whether labels are a scale shows when they are read: of one there is no confidence.
        return dict.fromkeys(column_types(self.column, scale=False))

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``label`` [rows]: whether the document has one; ``hash`` [rows] of the place."""
        label = pc.is_valid(docs.column(f"{self.labels}_p")).cast(pa.int8())
        place = place_hash(docs.column("_source"), docs.column("_offset"))
        return pa.RecordBatch.from_arrays([label, pa.array(place)], ["label", "hash"])

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        # 31 bits are all that fastText takes.
        seed = (reduce_input.seed if self.seed is None else self.seed) % 2**31
        labelled, soft, counts = self._labelled(reduce_input, seed)
        held = max(round(len(soft) * HELD_OUT), min(ENOUGH, round(len(soft) * AT_MOST)))
        unseen, learned = np.arange(held), np.arange(held, len(soft))
        corpus = self._sample(reduce_input, seed)
        recipe = Recipe(self.student, self.fasttext, self.embedding, self.hidden)
        words = self.embedding.documents if isinstance(self.embedding, FastTextVectors) else 0
        card = train_student(
            recipe,
            labelled.rows(learned),
            soft.take(learned),
            labelled.hashes[learned],
            corpus.rows(np.arange(min(len(corpus.texts), words))),
            seed,
            folder,
            self.located(Path()),
        )
        student = opened(card, folder, self.located(Path()))
        shares = soft.take(learned).shares
        card = {
            **card,
            "learned_from": self.labels,
            "seed": seed,
            "documents": {**counts, "trained_on": len(learned), "held_out": held},
            "shares": dict(zip(soft.labels, np.round(shares, 4).tolist(), strict=True)),
            "held_out": held_out(student, labelled.rows(unseen), soft.take(unseen), shares, seed),
            "telling": telling(student, labelled.rows(learned)),
        }
        if soft.values is not None:
            card["thresholds"] = _thresholds(student, corpus, labelled.hashes[learned])
        write_card(folder / CARD, card)
        said = {name: [e["word"] for e in entries] for name, entries in card["telling"].items()}
        return {**card, "telling": said}

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        student = open_student(artifacts, self.located(Path()))
        columns = student.columns(self.column, Texts(docs.text))
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns=columns)

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.distill_section import sections

        return sections(label, self.column, artifacts)

    def _labelled(
        self, reduce_input: ReduceInput, seed: int
    ) -> tuple[Sample, SoftLabels, dict[str, int]]:
        names = [self.labels, f"{self.labels}_p"]
        places, found = lowest_ranked(reduce_input.mapped, 1, self.max_documents, seed)
        columns = ["text", "language", *names]
        sample = distinct(read_rows(reduce_input.documents, places, columns, beginning), seed)
        counts = {"labelled": found, "sampled": len(places), "distinct": len(sample.texts)}
        if len(sample.texts) < MIN_DOCUMENTS:
            raise ShardError(
                "too-few-documents",
                f"{len(sample.texts)} distinct documents with a label {self.labels} to learn from, "
                f"{MIN_DOCUMENTS} are needed, and {found} have one",
                "label more documents, or loosen the steps before",
            )
        kept, p = sample.table[self.labels], sample.table[f"{self.labels}_p"]
        soft = from_struct(p.combine_chunks(), scale=pa.types.is_floating(kept.type))
        if len(np.unique(soft.best)) == 1 and soft.hard:
            message = f"all {len(soft)} labels {self.labels} are {soft.labels[soft.best[0]]}"
            raise ShardError("one-class", message, "there is nothing to learn: change the rubric")
        return sample, soft, counts

    def _sample(self, reduce_input: ReduceInput, seed: int) -> Sample:
        words = self.embedding.documents if isinstance(self.embedding, FastTextVectors) else 0
        size = max(self.sample, words if self.student != "fasttext" else 0)
        places, _ = lowest_ranked(reduce_input.mapped, None, size, seed)
        columns = ["text", "language"]
        return distinct(read_rows(reduce_input.documents, places, columns, beginning), seed)


def distinct(table: pa.Table, seed: int) -> Sample:
    """Documents with any word, one of those that students see as the same."""
    texts = Texts(table["text"].combine_chunks())
    hashes = np.array([hash_of(seen, seed) for seen in texts.seen.to_pylist()], dtype=np.uint64)
    _, first = np.unique(hashes, return_index=True)
    rows = first[~texts.blank[first]]
    chosen = table.take(pa.array(rows))
    return Sample(texts.take(rows), hashes[rows], chosen["language"].to_pylist(), chosen)


def _thresholds(student: Student, corpus: Sample, learned: Hashes) -> dict[str, Any]:
    """Of documents that the student was not trained on, whose scores are too sure."""
    rows = np.flatnonzero(~np.isin(corpus.hashes, learned))
    languages = [corpus.languages[row] for row in rows.tolist()]
    return thresholds(student.score(corpus.rows(rows)), languages)
