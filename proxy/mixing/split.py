"""What each document of the corpus is for: training, evaluation, or neither."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from kernels.ngrams.overlap import OverlapIndex, shingles
from kernels.text.utf8 import text_buffers
from proxy.mixing.held_out import COMMON, HELD_OUT, document_keys
from proxy.mixing.mixing_tasks import SplitTask
from proxy.mixing.scored_spans import scored_part
from winnow import KEPT, ShardError, StageOutputs, TaskContext, TaskResult, read_documents

TRAINING, HOLDING, REMOVED = 0, 1, 2
SPLITS = ("training", "held_out", "removed")
# Of the distinctive 5-grams of a held-out document (whole, or what is scored of it), and
# Jaccard similarity of all 5-grams; from here on a document repeats a held-out one.
REPEAT_SIMILARITY = 0.5

# One row per document of the shard, in its order. ``match`` is the row of held_out.parquet that a
# removed document repeats (−1 for all others), ``share`` and ``jaccard`` how much (OverlapIndex).
SCHEMA = pa.schema(
    [
        pa.field("source", pa.large_string(), nullable=False),
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
        pa.field("split", pa.uint8(), nullable=False),
        pa.field("match", pa.int32(), nullable=False),
        pa.field("share", pa.float32(), nullable=False),
        pa.field("jaccard", pa.float32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Protected:
    """The held-out documents, ready for comparison.

    Each is an entry of ``index`` by its scored part, and long ones a second time as a whole;
    ``owner`` [entries] leads back to the row of held_out.parquet.
    """

    index: OverlapIndex
    owner: npt.NDArray[np.int32]
    places: dict[str, set[int]]

    @classmethod
    def read(cls, held_out: StageOutputs) -> Protected:
        paths = {path.name: path for path in held_out.outputs()}
        table = pq.read_table(paths[HELD_OUT], page_checksum_verification=True)
        texts: list[str] = table["text"].to_pylist()
        heads = [
            scored_part(text, scored_from)
            for text, scored_from in zip(texts, table["scored_from"].to_pylist(), strict=True)
        ]
        longer = [i for i, text in enumerate(texts) if len(text) > len(heads[i])]
        entries = pa.array(heads + [texts[i] for i in longer], pa.large_string())
        places: dict[str, set[int]] = {}
        for task, row in zip(table["task"].to_pylist(), table["row"].to_pylist(), strict=True):
            places.setdefault(task, set()).add(row)
        return cls(
            OverlapIndex.build(shingles(entries), np.load(paths[COMMON], allow_pickle=False)),
            np.array([*range(len(texts)), *longer], np.int32),
            places,
        )


def split_shard(task: SplitTask, context: TaskContext) -> TaskResult:
    """What SplitTask does."""
    protected = Protected.read(task.held_out)
    held = np.array(sorted(protected.places.get(task.key, set())), np.int64)
    path = context.out / split_name(task.key)
    path.parent.mkdir(parents=True, exist_ok=True)
    totals: dict[str, dict[str, list[int]]] = {}
    row = 0
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", write_page_checksum=True) as out:
        columns = ["id", "text", "source", "_source", "_offset"]
        for file in task.corpus.outputs(KEPT, task.key):
            for batch in read_documents(file, columns):
                at = np.arange(row, row + batch.num_rows)
                assigned = _assign(batch, np.isin(at, held), protected, task.seed)
                out.write_batch(assigned)
                _add_counts(totals, assigned)
                row += batch.num_rows
    if (missing := held[held >= row]).size:
        raise ShardError(
            "rows-lost", f"held-out rows {missing.tolist()} are not in shard {task.key}"
        )
    metrics: dict[str, JsonValue] = {
        source: {split: list(counts) for split, counts in of_source.items()}
        for source, of_source in totals.items()
    }
    return TaskResult(metrics={"split": metrics})


def split_name(key: str) -> str:
    """Where the splits of corpus shard ``key`` are, in the stage's folder."""
    return f"split/{key}.parquet"


def read_split(split: StageOutputs, key: str) -> pa.Table:
    """SCHEMA of one shard."""
    (path,) = split.outputs(key=key)
    return pq.read_table(path, page_checksum_verification=True)


def training_rows(split: StageOutputs, key: str) -> npt.NDArray[np.bool_]:
    """[rows of the shard] Whether a document may be trained on."""
    return np.asarray(read_split(split, key)["split"].to_numpy() == TRAINING)


def _assign(
    batch: pa.RecordBatch, held: npt.NDArray[np.bool_], protected: Protected, seed: int
) -> pa.RecordBatch:
    text = batch.column("text")
    found = protected.index.compare(shingles(text))
    repeats = np.maximum(found.share, found.jaccard) >= REPEAT_SIMILARITY
    split = np.where(held, HOLDING, np.where(repeats, REMOVED, TRAINING)).astype(np.uint8)
    removed = split == REMOVED
    match = np.full(len(split), -1, np.int32)
    match[removed] = protected.owner[found.entry[removed]]
    return pa.record_batch(
        [
            batch.column("source"),
            pa.array(document_keys(batch, seed)),
            pa.array(text_bytes(text)),
            pa.array(split),
            pa.array(match),
            pa.array(found.share.astype(np.float32)),
            pa.array(found.jaccard.astype(np.float32)),
        ],
        schema=SCHEMA,
    )


def text_bytes(text: pa.LargeStringArray) -> npt.NDArray[np.int64]:
    """UTF-8 bytes of each row."""
    return np.diff(text_buffers(text)[1])


def _add_counts(totals: dict[str, dict[str, list[int]]], assigned: pa.RecordBatch) -> None:
    """Add to source → split → [documents, bytes]."""
    splits, sizes = assigned.column("split").to_numpy(), assigned.column("bytes").to_numpy()
    sources = assigned.column("source").dictionary_encode()
    codes = sources.indices.to_numpy()
    for code, source in enumerate(sources.dictionary.to_pylist()):
        of_source = totals.setdefault(source, {name: [0, 0] for name in SPLITS})
        for split, name in enumerate(SPLITS):
            mine = (codes == code) & (splits == split)
            of_source[name][0] += int(mine.sum())
            of_source[name][1] += int(sizes[mine].sum())
