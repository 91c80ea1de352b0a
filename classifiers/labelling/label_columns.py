"""What a label step leaves behind: labels by place, and as columns of documents."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classifiers.judges.answers import Answer
from classifiers.judges.judge_identity import Wording, label_key
from classifiers.judges.prompts import document_id
from classifiers.judges.rubric import Attribute, Rubric
from classifiers.labelling.label_store import LabelStore, Stored
from classifiers.sampling.stratified_sampling import Sample

LABELS = "labels.parquet"
EMPTY = "empty"  # the error of a document without any word, which no judge is asked about
_WORD = re.compile(r"[^\W_]")
Floats = npt.NDArray[np.float64]


def stored_labels(
    store: LabelStore, judge: str, wording: Wording, texts: Sequence[str], repeat: int = 0
) -> list[Stored | None]:
    """What the store holds of each of ``texts`` [n]; None where there is nothing."""
    keys = [label_key(judge, wording.id, document_id(text), repeat) for text in texts]
    found = store.find(set(keys))
    return [found.get(key) for key in keys]


def has_words(text: str) -> bool:
    """Whether there is a letter or a digit to judge, of any script."""
    return _WORD.search(text) is not None


def answers_of(
    texts: Sequence[str], stored: Sequence[Stored | None], least_mass: float
) -> list[Answer]:
    """Answers [n] about ``texts`` [n] whose labels have ``least_mass``; an error for what has no
    answer at all."""
    return [
        label.answer.with_least_mass(least_mass)
        if label is not None
        else Answer.refused("no-answer" if has_words(text) else EMPTY)
        for text, label in zip(texts, stored, strict=True)
    ]


def scores_of(answers: Sequence[Answer], name: str, attribute: Attribute) -> Floats:
    """The expected score [n] of each answer (for categories the number of the likeliest); NaN
    without a label."""
    scores = np.full(len(answers), np.nan)
    for row, answer in enumerate(answers):
        if (label := answer.labels.get(name)) is not None:
            values = attribute.values
            scores[row] = label.best if values is None else label.expected(values)
    return scores


def probabilities_of(answers: Sequence[Answer], name: str, labels: int) -> Floats:
    """Probabilities [n, labels]; NaN without a label."""
    found = np.full((len(answers), labels), np.nan)
    for row, answer in enumerate(answers):
        if (label := answer.labels.get(name)) is not None:
            found[row] = label.probabilities
    return found


def write_labels(path: Path, rubric: Rubric, sample: Sample, answers: Sequence[Answer]) -> None:
    """One row per sampled document, by shard and row: where it is, its stratum and weight, and for
    each attribute its columns, mass, entropy and error."""
    order = np.lexsort((sample.places[:, 1], sample.places[:, 0]))
    answers = [answers[row] for row in order.tolist()]
    columns: dict[str, Any] = {
        "shard": sample.places[order, 0],
        "row": sample.places[order, 1],
        "stratum": pa.array([sample.names[i] for i in sample.stratum[order]], pa.large_string()),
        "weight": sample.weight[order],
    }
    for name, attribute in rubric.attributes.items():
        columns |= label_columns(name, attribute, answers)
        labels = [answer.labels.get(name) for answer in answers]
        columns[f"{name}_mass"] = [label.mass if label else None for label in labels]
        columns[f"{name}_entropy"] = [label.entropy if label else None for label in labels]
        columns[f"{name}_error"] = pa.array(
            [answer.error(name) or None for answer in answers], pa.large_string()
        )
    columns["rationale"] = pa.array([a.rationale or None for a in answers], pa.large_string())
    pq.write_table(pa.table(columns), path)


def label_columns(
    name: str, attribute: Attribute, answers: Sequence[Answer]
) -> dict[str, pa.Array]:
    """``name`` and ``name_p`` [n] of answers, null where there is no label."""
    found = probabilities_of(answers, name, len(attribute.labels)).astype(np.float32)
    missing = np.isnan(found).any(axis=1)
    fields = [pa.array(column) for column in found.T]
    soft = pa.StructArray.from_arrays(fields, list(attribute.labels), mask=pa.array(missing))
    if attribute.values is None:
        best = np.array(attribute.labels, dtype=object)[np.nan_to_num(found).argmax(axis=1)]
        hard = pa.array(np.where(missing, None, best), pa.large_string())
    else:
        scores = scores_of(answers, name, attribute).astype(np.float32)
        hard = pa.array(scores, mask=missing)
    return {name: hard, f"{name}_p": soft}


@lru_cache(maxsize=2)
def _loaded(path: Path, size: int, modified: int) -> pa.Table:
    return pq.read_table(path).combine_chunks()


def columns_for(
    path: Path, rubric: Rubric, shard: int, row: int, rows: int
) -> Mapping[str, pa.Array]:
    """Columns [rows] for the documents of ``shard`` from ``row`` on, null where not sampled."""
    stat = path.stat()
    table = _loaded(path, stat.st_size, stat.st_mtime_ns)
    shards, places = table["shard"].to_numpy(), table["row"].to_numpy()
    here = np.flatnonzero((shards == shard) & (places >= row) & (places < row + rows))
    take = np.full(rows, -1, dtype=np.int64)
    take[places[here] - row] = here
    indices = pa.array(take, mask=take < 0)
    return {name: _plain(pc.take(table[name], indices)) for name in rubric.column_types()}


def _plain(array: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(array, pa.ChunkedArray):
        return array
    return array.combine_chunks() if array.num_chunks != 1 else array.chunk(0)
