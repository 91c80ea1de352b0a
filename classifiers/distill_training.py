"""How the step `distill` samples labelled documents, trains a student and measures it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.distill_settings import MIN_DOCUMENTS, DistillSettings
from classifiers.sampling.hash_sampling import (
    Hashes,
    hash_of,
    lowest_ranked,
    place_hash,
    read_rows,
)
from classifiers.students.preprocessing import TextBatch, truncate
from classifiers.students.soft_labels import SoftLabels, from_struct
from classifiers.students.student import Student
from classifiers.students.student_files import CARD, write_card
from classifiers.students.student_loading import opened
from classifiers.students.student_metrics import held_out, thresholds
from classifiers.students.student_settings import FastTextVectors
from classifiers.students.student_training import Recipe, train_student
from classifiers.students.top_features import top_features
from winnow import Docs, ReduceInput, ShardError

# Documents that measure the student: a tenth, but a hundred if that is no more than a fifth.
HELD_OUT, ENOUGH, AT_MOST = 0.1, 100, 0.2


@dataclass(frozen=True)
class Sample:
    """Distinct documents in the order of the hashes of their preprocessed texts."""

    texts: TextBatch
    hashes: Hashes
    languages: Sequence[str | None]
    table: pa.Table

    def rows(self, chosen: npt.NDArray[np.int64]) -> TextBatch:
        return self.texts.take(chosen)


def map_labels(step: DistillSettings, docs: Docs) -> pa.RecordBatch:
    """Whether each document [rows] has a label, and the hash of its place [rows]."""
    label = pc.is_valid(docs.column(f"{step.labels}_p")).cast(pa.int8())
    place = place_hash(docs.column("_source"), docs.column("_offset"))
    return pa.RecordBatch.from_arrays([label, pa.array(place)], ["label", "hash"])


def distill(
    step: DistillSettings, models: Path, reduce_input: ReduceInput, folder: Path
) -> Mapping[str, Any]:
    """Write the student and its card into ``folder``; the card, with words alone, as metrics.

    Relative paths of encoders begin at ``models``.
    """
    # 31 bits are all that fastText takes.
    seed = (reduce_input.seed if step.seed is None else step.seed) % 2**31
    labelled, soft, counts = _labelled(step, reduce_input, seed)
    held = max(round(len(soft) * HELD_OUT), min(ENOUGH, round(len(soft) * AT_MOST)))
    held_out_rows, learned = np.arange(held), np.arange(held, len(soft))
    corpus = _sample(step, reduce_input, seed)
    recipe = Recipe(step.student, step.fasttext, step.embedding, step.hidden)
    words = step.embedding.documents if isinstance(step.embedding, FastTextVectors) else 0
    card = train_student(
        recipe,
        labelled.rows(learned),
        soft.take(learned),
        labelled.hashes[learned],
        corpus.rows(np.arange(min(len(corpus.texts), words))),
        seed,
        folder,
        models,
    )
    student = opened(card, folder, models)
    shares = soft.take(learned).shares
    card = {
        **card,
        "learned_from": step.labels,
        "seed": seed,
        "documents": {**counts, "trained_on": len(learned), "held_out": held},
        "shares": dict(zip(soft.labels, np.round(shares, 4).tolist(), strict=True)),
        "held_out": held_out(
            student, labelled.rows(held_out_rows), soft.take(held_out_rows), shares, seed
        ),
        "top_features": top_features(student, labelled.rows(learned)),
    }
    if soft.values is not None:
        card["thresholds"] = _thresholds(student, corpus, labelled.hashes[learned])
    write_card(folder / CARD, card)
    named = {name: [e["word"] for e in entries] for name, entries in card["top_features"].items()}
    return {**card, "top_features": named}


def _labelled(
    step: DistillSettings, reduce_input: ReduceInput, seed: int
) -> tuple[Sample, SoftLabels, dict[str, int]]:
    names = [step.labels, f"{step.labels}_p"]
    places, found = lowest_ranked(reduce_input.mapped, 1, step.max_documents, seed)
    columns = ["text", "language", *names]
    sample = distinct(read_rows(reduce_input.documents, places, columns, truncate), seed)
    counts = {"labelled": found, "sampled": len(places), "distinct": len(sample.texts)}
    if len(sample.texts) < MIN_DOCUMENTS:
        raise ShardError(
            "too-few-documents",
            f"{len(sample.texts)} distinct documents with a label {step.labels} to learn from, "
            f"{MIN_DOCUMENTS} are needed, and {found} have one",
            "label more documents, or loosen the steps before",
        )
    kept, p = sample.table[step.labels], sample.table[f"{step.labels}_p"]
    soft = from_struct(p.combine_chunks(), scale=pa.types.is_floating(kept.type))
    if len(np.unique(soft.best)) == 1 and soft.hard:
        message = f"all {len(soft)} labels {step.labels} are {soft.labels[soft.best[0]]}"
        raise ShardError("one-class", message, "there is nothing to learn: change the rubric")
    return sample, soft, counts


def _sample(step: DistillSettings, reduce_input: ReduceInput, seed: int) -> Sample:
    words = step.embedding.documents if isinstance(step.embedding, FastTextVectors) else 0
    size = max(step.sample, words if step.student != "fasttext" else 0)
    places, _ = lowest_ranked(reduce_input.mapped, None, size, seed)
    columns = ["text", "language"]
    return distinct(read_rows(reduce_input.documents, places, columns, truncate), seed)


def distinct(table: pa.Table, seed: int) -> Sample:
    """Documents with any word, one of those whose preprocessed texts are equal."""
    texts = TextBatch(table["text"].combine_chunks())
    hashes = np.array(
        [hash_of(text, seed) for text in texts.preprocessed.to_pylist()], dtype=np.uint64
    )
    _, first = np.unique(hashes, return_index=True)
    rows = first[~texts.blank[first]]
    chosen = table.take(pa.array(rows))
    return Sample(texts.take(rows), hashes[rows], chosen["language"].to_pylist(), chosen)


def _thresholds(student: Student, corpus: Sample, learned: Hashes) -> dict[str, Any]:
    """Of documents that the student was not trained on, whose scores are too sure."""
    rows = np.flatnonzero(~np.isin(corpus.hashes, learned))
    languages = [corpus.languages[row] for row in rows.tolist()]
    return thresholds(student.score(corpus.rows(rows)), languages)
