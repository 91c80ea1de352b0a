"""How the step `classify` samples its two classes, trains on them and measures the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.agreement.agreement_metrics import evaluate
from classifiers.classify_settings import MIN_DOCUMENTS, MODEL, SIDES, ClassifySettings
from classifiers.sampling.hash_sampling import hash_of, lowest_ranked, place_hash, read_rows
from classifiers.students.fasttext_classifier import Entry, FastTextClassifier
from classifiers.students.fasttext_training import library, train
from classifiers.students.preprocessing import TextBatch, truncate
from classifiers.students.student_files import CARD, write_card
from classifiers.students.student_settings import FastTextSettings
from winnow import Docs, ReduceInput, ShardError, sha256_file

# Share of each class that measures the model.
HELD_OUT = 0.1
TOP_FEATURES = 20

# A document as (hash of its preprocessed text, text); counts by class.
Hashed = tuple[int, str]
Counts = dict[str, dict[str, int]]


def map_classes(step: ClassifySettings, docs: Docs) -> pa.RecordBatch:
    """The class of each document [rows] and the hash of its place [rows]."""
    source = docs.column("source")
    label = np.zeros(len(docs), dtype=np.int8)
    for side, value in SIDES.items():
        known = pa.array(step.train.names(side), type=source.type)
        label[pc.is_in(source, value_set=known).to_numpy(zero_copy_only=False)] = value
    place = place_hash(docs.column("_source"), docs.column("_offset"))
    return pa.RecordBatch.from_arrays([pa.array(label), pa.array(place)], ["label", "hash"])


def train_classifier(
    step: ClassifySettings, reduce_input: ReduceInput, folder: Path
) -> Mapping[str, Any]:
    """Write the model and its card into ``folder``; the card, with words alone, as metrics."""
    # 31 bits are all that fastText takes.
    seed = (reduce_input.seed if step.seed is None else step.seed) % 2**31
    positive, negative, counts = _sample(step, reduce_input, seed)
    held = max(1, round(len(positive) * HELD_OUT))
    training = sorted(
        (key, side, text)
        for side, pairs in (("positive", positive), ("negative", negative))
        for key, text in pairs[held:]
    )
    preprocessed = TextBatch.of([text for *_, text in training]).preprocessed.to_pylist()
    model = folder / MODEL
    train(zip([side for _, side, _ in training], preprocessed, strict=True), step, seed, model)
    classifier = FastTextClassifier(model)
    held_out = [
        classifier.score(TextBatch.of([text for _, text in pairs[:held]]), "positive")
        for pairs in (positive, negative)
    ]
    card: dict[str, Any] = {
        "student": step.student,
        "library": library(),
        "positive": list(step.train.names("positive")),
        "negative": list(step.train.names("negative")),
        "settings": step.model_dump(include=set(FastTextSettings.model_fields)),
        "max_documents": step.max_documents,
        "seed": seed,
        "documents": counts,
        "trained_on": {"positive": len(positive) - held, "negative": len(negative) - held},
        "held_out": evaluate(held_out[0], held_out[1], seed),
        "top_features": _top_features(classifier),
        "model": {"bytes": model.stat().st_size, "sha256": sha256_file(model)},
    }
    write_card(folder / CARD, card)
    words = {side: [entry["word"] for entry in card["top_features"][side]] for side in SIDES}
    return {**card, "top_features": words}


def _sample(
    step: ClassifySettings, reduce_input: ReduceInput, seed: int
) -> tuple[list[Hashed], list[Hashed], Counts]:
    """Equally many distinct documents of each class, ordered by hash, and counts."""
    distinct: dict[str, dict[int, str]] = {}
    counts: Counts = {}
    for side, label in SIDES.items():
        places, found = lowest_ranked(reduce_input.mapped, label, step.max_documents, seed)
        raw = read_rows(reduce_input.documents, places, ["text"], truncate)["text"].to_pylist()
        texts = TextBatch.of(raw)
        rows = zip(texts.preprocessed.to_pylist(), raw, texts.blank.tolist(), strict=True)
        distinct[side] = {hash_of(text, seed): row for text, row, blank in rows if not blank}
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
                f"{MIN_DOCUMENTS} are needed: {', '.join(step.train.names(side))} had "
                f"{counts[side]['found']} and {len(both)} are of both classes",
                "add documents, name more sources, or loosen the steps before this one",
            )
    size = min(map(len, classes))
    return sorted(classes[0][:size]), sorted(classes[1][:size]), counts


def _top_features(classifier: FastTextClassifier) -> dict[str, list[Entry]]:
    """The words that push a document to either side; ``weight`` is what they add to its log-odds
    of being positive."""
    directions = {
        side: {name: value * sign for name, value in SIDES.items()} for side, sign in SIDES.items()
    }
    words = classifier.top_features(directions, TOP_FEATURES)
    for entry in words["negative"]:
        entry["weight"] = -entry["weight"]
    return words
