"""Bits that a model needs for each held-out document."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from proxy.training.model import LanguageModel
from proxy.training.train import deterministic
from winnow import ShardError

# Scored spans of held-out documents, those of a document one after the other. The first ``context``
# tokens (one at least) are not scored; ``bytes`` are those of the scored text in UTF-8, which
# tokens cannot be trusted to give back.
HELD_OUT_SCHEMA = pa.schema(
    [
        pa.field("target", pa.large_string(), nullable=False),
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("cluster", pa.large_string(), nullable=False),
        pa.field("tokens", pa.large_list(pa.uint32()), nullable=False),
        pa.field("context", pa.int64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)
EVALUATION_SCHEMA = pa.schema(
    [
        pa.field("target", pa.large_string(), nullable=False),
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("cluster", pa.large_string(), nullable=False),
        pa.field("bits", pa.float64(), nullable=False),
        pa.field("bytes", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Window:
    """Part of a span: inputs tokens[start:stop], of whose targets the first ``carried`` are not
    scored, because they are context or were scored by the window before."""

    span: int
    start: int
    stop: int
    carried: int


def windows(
    lengths: npt.NDArray[np.int64], contexts: npt.NDArray[np.int64], context: int
) -> list[Window]:
    """Windows that score every token of every span after its context once.

    The first window of a span begins up to T/2 tokens before what is scored and covers up to T
    inputs; each later one starts T - T/2 further and scores what is new. So from the second window
    on, a target has at least T/2 tokens before it in its window.
    """
    half = context // 2
    found = []
    for span, (length, before) in enumerate(zip(lengths.tolist(), contexts.tolist(), strict=True)):
        start = max(0, before - 1 - half)
        carried = before - 1 - start
        while start + carried < length - 1:
            stop = min(start + context, length - 1)
            found.append(Window(span, start, stop, carried))
            start, carried = start + context - half, half
    return found


def read_held_out(path: Path, vocabulary: int) -> pa.Table:
    """The held-out documents. ShardError for one without text (its bits per byte would be 0/0),
    or with a token outside the vocabulary."""
    table = pq.read_table(
        path, columns=HELD_OUT_SCHEMA.names, page_checksum_verification=True
    ).cast(HELD_OUT_SCHEMA)
    lengths = table["tokens"].combine_chunks().value_lengths().to_numpy()
    contexts = table["context"].to_numpy()
    empty = np.flatnonzero((contexts < 1) | (lengths <= contexts) | (table["bytes"].to_numpy() < 1))
    if len(empty):
        raise ShardError(
            "empty-document",
            f"held-out document {table['id'][int(empty[0])].as_py()!r} has no text",
            "leave documents without text out of the held-out set",
        )
    largest = int(table["tokens"].combine_chunks().flatten().to_numpy().max(initial=0))
    if largest >= vocabulary:
        raise ShardError(
            "token-range",
            f"{path.name} holds token {largest}, the vocabulary ends at {vocabulary - 1}",
            "the documents were tokenised with another tokenizer than the model is sized for",
        )
    return table


def evaluate(
    model: LanguageModel,
    held_out: pa.Table,
    batch_tokens: int = 4_096,
    progress: Callable[[float, float], None] = lambda done, total: None,
) -> pa.Table:
    """EVALUATION_SCHEMA, a row per document in the order of ``held_out``: bits to code its spans.

    ``batch_tokens`` bounds the padded size of a batch; beyond rounding (below 1e-5 of a
    document's bits) it does not change the result. Raises ShardError ``non-finite-loss``.
    """
    column = held_out["tokens"].combine_chunks()
    offsets = column.offsets.to_numpy()
    flat = column.values.to_numpy().astype(np.int64)
    pieces = windows(np.diff(offsets), held_out["context"].to_numpy(), model.spec.context)
    # Windows of like length go together, so that little is computed on padding.
    order = sorted(range(len(pieces)), key=lambda i: (pieces[i].start - pieces[i].stop, i))
    nats = np.zeros(len(column))
    done = 0
    device = next(model.parameters()).device
    with deterministic(), torch.inference_mode():
        while done < len(order):
            longest = pieces[order[done]].stop - pieces[order[done]].start
            chosen = [pieces[i] for i in order[done : done + max(1, batch_tokens // longest)]]
            batch = np.zeros((len(chosen), longest + 1), np.int64)
            for row, piece in enumerate(chosen):
                begin = offsets[piece.span]
                batch[row, : piece.stop - piece.start + 1] = flat[
                    begin + piece.start : begin + piece.stop + 1
                ]
            tokens = torch.from_numpy(batch).to(device)
            scored = model.nats(tokens[:, :-1], tokens[:, 1:]).double().cpu().numpy()
            for row, piece in enumerate(chosen):
                new = scored[row, piece.carried : piece.stop - piece.start]
                nats[piece.span] += new.sum()
            done += len(chosen)
            progress(done, len(order))
    if not np.isfinite(nats).all():
        worst = int(np.flatnonzero(~np.isfinite(nats))[0])
        raise ShardError(
            "non-finite-loss",
            f"held-out document {held_out['id'][worst].as_py()!r} scores {nats[worst]} nats",
            "lower the learning rate; this trial is not ranked",
        )
    columns = [held_out["target"], held_out["id"], held_out["cluster"]]
    columns += [pa.array(nats / math.log(2)), held_out["bytes"]]
    return _by_document(pa.table(columns, schema=EVALUATION_SCHEMA))


def _by_document(spans: pa.Table) -> pa.Table:
    """The sums over the spans of each document, in their order."""
    names = ["target", "id", "cluster"]
    sums = spans.group_by(names, use_threads=False).aggregate([("bits", "sum"), ("bytes", "sum")])
    columns = [*(sums[name] for name in names), sums["bits_sum"], sums["bytes_sum"]]
    return pa.table(columns, schema=EVALUATION_SCHEMA)
