"""Text to tokens: the training side shard by shard, and the evaluation side in one file."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue
from tokenizers import Tokenizer

from kernels.text.utf8 import Offsets
from kernels.words.segmentation import segments
from proxy.mixing.held_out import HELD_OUT
from proxy.mixing.mixing_tasks import HELD_OUT_TOKENS, TokeniseHeldOutTask, TokeniseTask
from proxy.mixing.scored_spans import scored_spans
from proxy.mixing.split import TRAINING, read_split
from proxy.mixing.tokenizer import Encoder, committed_encoder
from proxy.token_files import token_dtype
from winnow import DOCUMENT_SCHEMA, KEPT, TaskContext, TaskResult, read_documents

# Texts handed to the library at once, which bounds what it holds.
GROUP = 1_024

Ids = npt.NDArray[np.uint32]

# One row per training document, in the order of the token file. ``tokens`` counts the end-of-text
# token that follows each document. Then, with CARRIED before their names, come the columns of
# numbers and of text that steps have added, and the language: mixes choose by them, and this stage
# knows no mix.
INDEX_SCHEMA = pa.schema(
    [
        pa.field("source", pa.large_string(), nullable=False),
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("key", pa.uint64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
CARRIED = "column."
# One row per scored span. The first ``context`` tokens are not scored: where the document begins,
# the end-of-text token and what comes before the span.
HELD_OUT_TOKENS_SCHEMA = pa.schema(
    [
        pa.field("target", pa.large_string(), nullable=False),
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("cluster", pa.large_string(), nullable=False),
        pa.field("tokens", pa.large_list(pa.uint32()), nullable=False),
        pa.field("context", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)


def tokenise_shard(task: TokeniseTask, context: TaskContext) -> TaskResult:
    """What TokeniseTask does."""
    encoder = committed_encoder(task.tokenizer, task.end_of_text)
    dtype = token_dtype(encoder.vocabulary)
    documents = read_split(task.split, task.key)
    training = documents["split"].to_numpy() == TRAINING
    keys = documents["key"].to_numpy()
    for folder in ("tokens", "index"):
        (context.out / folder).mkdir(parents=True, exist_ok=True)
    files = task.corpus.outputs(KEPT, task.key)
    schema, extra = _index_schema([pq.read_schema(file) for file in files])
    sources: dict[str, list[int]] = {}
    row = 0
    with (
        (context.out / f"tokens/{task.key}.bin").open("wb") as tokens,
        pq.ParquetWriter(
            context.out / f"index/{task.key}.parquet",
            schema,
            compression="zstd",
            write_page_checksum=True,
        ) as index,
    ):
        for file in files:
            for batch in read_documents(file, ["id", "text", "source", *extra]):
                here = slice(row, row + batch.num_rows)
                row += batch.num_rows
                batch = batch.append_column("key", pa.array(keys[here]))
                batch = batch.filter(pa.array(training[here]))
                ids, starts = encode(encoder, batch.column("text"))
                tokens.write(np.insert(ids, starts[1:], encoder.end).astype(dtype).tobytes())
                entries = _index(batch, np.diff(starts) + 1, schema)
                index.write_batch(entries)
                _add_counts(sources, entries)
                context.progress(row, len(documents))
    metrics: dict[str, JsonValue] = {source: list(counts) for source, counts in sources.items()}
    return TaskResult(metrics={"sources": metrics, "vocabulary": encoder.vocabulary})


def tokenise_held_out(task: TokeniseHeldOutTask, context: TaskContext) -> TaskResult:
    """What TokeniseHeldOutTask does."""
    encoder = committed_encoder(task.tokenizer, task.end_of_text)
    (path,) = (path for path in task.held_out.outputs() if path.name == HELD_OUT)
    rows: list[dict[str, object]] = []
    targets: dict[str, list[int]] = {}
    for row in pq.read_table(path, page_checksum_verification=True).to_pylist():
        counts = targets.setdefault(row["target"], [0, 0, 0])
        counts[0] += 1
        for span in scored_spans(row["text"], row["scored_from"]):
            before, scored = encode_texts(encoder.tokenizer, [span.context, span.text])
            if span.begins:
                before = [encoder.end, *before]
            size = len(span.text.encode())
            rows.append(
                {
                    **{name: row[name] for name in ("target", "id", "cluster")},
                    "tokens": [*before, *scored],
                    "context": len(before),
                    "bytes": size,
                }
            )
            counts[1:] = [counts[1] + len(scored), counts[2] + size]
    context.out.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        pa.Table.from_pylist(rows, schema=HELD_OUT_TOKENS_SCHEMA),
        context.out / HELD_OUT_TOKENS,
        compression="zstd",
        write_page_checksum=True,
    )
    metrics: dict[str, JsonValue] = {target: list(counts) for target, counts in targets.items()}
    return TaskResult(metrics={"targets": metrics})


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, without special tokens."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return [e.ids for e in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


def encode(encoder: Encoder, text: pa.LargeStringArray) -> tuple[Ids, Offsets]:
    """Token ids of all rows, without special tokens, and where each row's begin [rows + 1]."""
    # The engine runs one task per core; threads of the library would compete with them.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if not encoder.by_segment:
        return _encode_texts(encoder.tokenizer, text.to_pylist())
    found = segments(text)
    return found.replace(*_encode_texts(encoder.tokenizer, found.texts))


def _encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> tuple[Ids, Offsets]:
    found: list[int] = []
    bounds = [0]
    for begin in range(0, len(texts), GROUP):
        group = texts[begin : begin + GROUP]
        for encoding in tokenizer.encode_batch_fast(group, add_special_tokens=False):
            found += encoding.ids
            bounds.append(len(found))
    return np.array(found, np.uint32), np.array(bounds, np.int64)


def score_columns(schema: pa.Schema) -> list[str]:
    """Names of the numeric columns that are no part of every document."""
    return [
        field.name
        for field in schema
        if field.name not in DOCUMENT_SCHEMA.names
        and (pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
    ]


def category_columns(schema: pa.Schema) -> list[str]:
    """Names of the columns of text that sort documents: those that are no part of every document,
    and the language."""
    return [
        field.name
        for field in schema
        if (field.name not in DOCUMENT_SCHEMA.names or field.name == "language")
        and (pa.types.is_string(field.type) or pa.types.is_large_string(field.type))
    ]


def _index_schema(schemas: Sequence[pa.Schema]) -> tuple[pa.Schema, list[str]]:
    """The schema of an index, and the names of the documents' columns that it carries."""
    scores = sorted({name for schema in schemas for name in score_columns(schema)})
    text = sorted({name for schema in schemas for name in category_columns(schema)})
    carried = [pa.field(CARRIED + name, pa.float64()) for name in scores]
    carried += [pa.field(CARRIED + name, pa.large_string()) for name in text]
    return pa.schema([*INDEX_SCHEMA, *carried]), [*scores, *text]


def _index(batch: pa.RecordBatch, tokens: Offsets, schema: pa.Schema) -> pa.RecordBatch:
    made = {"tokens": pa.array(tokens, pa.int64()), "bytes": pc.binary_length(batch["text"])}
    arrays = [
        made[field.name]
        if field.name in made
        else batch[field.name.removeprefix(CARRIED)].cast(field.type)
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def _add_counts(sources: dict[str, list[int]], entries: pa.RecordBatch) -> None:
    """Add to source → [documents, tokens, bytes]."""
    table = pa.table(entries).group_by("source", use_threads=False)
    sums = table.aggregate([("tokens", "count"), ("tokens", "sum"), ("bytes", "sum")])
    for row in sums.to_pylist():
        counts = sources.setdefault(row["source"], [0, 0, 0])
        added = (row["tokens_count"], row["tokens_sum"], row["bytes_sum"])
        counts[:] = [old + new for old, new in zip(counts, added, strict=True)]
