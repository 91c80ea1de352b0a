"""Sampling a mix: which documents of the training side, how often, and in which order.

Every source has one order of its documents per seed and epoch, the same in all mixes, so that two
mixes differ in nothing but their shares. Documents stay whole; only the last one of a component may
be cut at the token budget, and then no end-of-text token follows it. Sources are interleaved
so that the shares hold from the first documents to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from kernels.hashing.hashing import Hashes
from proxy.mixing.components import Component
from proxy.mixing.mixing_tasks import SampleTask
from proxy.mixing.training_pool import Longs, Reals, TrainingPool, mix64, select
from proxy.token_files import map_tokens, token_dtype
from winnow import ShardError, TaskContext, TaskResult

# One row per document, in order. ``row`` is where it is in index/{task}.parquet of the tokenised
# corpus; ``tokens`` as sampled, with the end-of-text token (fewer where the document is cut).
SAMPLE_SCHEMA = pa.schema(
    [
        pa.field("component", pa.large_string(), nullable=False),
        pa.field("task", pa.large_string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Share:
    """What one component gives to a mix, in documents and tokens (end-of-text tokens included).

    ``wanted`` is its share of the budget by weight; ``tokens`` what was sampled, which differs
    where a source ran out. ``low`` and ``high`` are the scores between which the bucket lies:
    low ≤ score < high, None where open. ``unscored`` documents have no score and are in no bucket;
    ``lowest`` and ``highest`` are of the scores of the others, None without a bucket.
    """

    component: str
    source: str
    weight: float
    available_documents: int
    available_tokens: int
    wanted: int = 0
    documents: int = 0
    tokens: int = 0
    epochs: float = 0.0
    max_epochs: float = 0.0
    low: float | None = None
    high: float | None = None
    unscored: int = 0
    lowest: float | None = None
    highest: float | None = None


@dataclass(frozen=True)
class MixSample:
    """The documents of a mix in order [sampled]: index into the pool, index of the component, epoch
    (from 0) and tokens to take; and what each component gave."""

    document: Longs
    component: Longs
    epoch: Longs
    tokens: Longs
    shares: tuple[Share, ...]


def sample_mix(
    pool: TrainingPool, components: Sequence[Component], budget: int | None, seed: int
) -> MixSample:
    """Sample ``budget`` tokens (None: as many as the components have) from ``components``.

    Raises ShardError when a component that the mix names has no documents.
    """
    members, shares = [], []
    for component in components:
        rows, share = _members(pool, component)
        members.append(rows)
        shares.append(share)
    available = np.array([share.available_tokens for share in shares], np.float64)
    weights = _weights(components, available)
    budget = budget if budget is not None else int(available.sum())
    caps = np.floor(available * [component.max_epochs for component in components]).astype(np.int64)
    quotas = fill(weights, caps, budget)
    parts = [
        _take(pool, rows, int(quota), seed, number)
        for number, (rows, quota) in enumerate(zip(members, quotas, strict=True))
    ]
    due = np.concatenate([part.due for part in parts])
    order = np.argsort(due, kind="stable")
    sampled = [
        replace(
            share,
            weight=float(weight),
            wanted=round(float(weight) * budget),
            documents=len(np.unique(part.document)),
            tokens=int(part.tokens.sum()),
            epochs=round(float(part.tokens.sum()) / max(1, share.available_tokens), 4),
        )
        for share, weight, part in zip(shares, weights, parts, strict=True)
    ]
    return MixSample(
        document=np.concatenate([part.document for part in parts])[order],
        component=np.concatenate([part.component for part in parts])[order],
        epoch=np.concatenate([part.epoch for part in parts])[order],
        tokens=np.concatenate([part.tokens for part in parts])[order],
        shares=tuple(sampled),
    )


def fill(weights: Reals, caps: Longs, budget: int) -> Longs:
    """Tokens per component: ``budget`` by ``weights`` [components], none above its cap. What one
    cannot give goes to the others in proportion to their weights, until none can give more."""
    quotas = np.zeros(len(weights))
    open_ = (caps > 0) & (weights > 0)
    while open_.any():
        scale = (budget - quotas[~open_].sum()) / weights[open_].sum()
        full = open_ & (weights * scale >= caps)
        if not full.any():
            quotas[open_] = weights[open_] * scale
            break
        quotas[full] = caps[full]
        open_ &= ~full
    whole = np.floor(quotas + 1e-6).astype(np.int64)
    missing = min(budget, int(caps[weights > 0].sum())) - int(whole.sum())
    # Rounding leaves fewer tokens than there are components; the first that can take one do.
    for component in np.flatnonzero((weights > 0) & (whole < caps))[: max(0, missing)]:
        whole[component] += 1
    return whole


def _members(pool: TrainingPool, component: Component) -> tuple[Longs, Share]:
    """The documents of a component, and its share before anything is sampled."""
    chosen = select(pool, component)
    return chosen.documents, Share(
        component=component.name,
        source=component.source,
        weight=0.0,
        available_documents=len(chosen.documents),
        available_tokens=int(pool.tokens[chosen.documents].sum()),
        max_epochs=component.max_epochs,
        low=chosen.low,
        high=chosen.high,
        unscored=chosen.unscored,
        lowest=chosen.lowest,
        highest=chosen.highest,
    )


def _weights(components: Sequence[Component], available: Reals) -> Reals:
    """Weights [components] that add up to 1; those not given share the rest by available tokens."""
    given = np.array([component.weight or 0.0 for component in components])
    is_open = np.array([component.weight is None for component in components])
    rest = max(0.0, 1.0 - given.sum())
    if is_open.any() and available[is_open].sum() > 0:
        given[is_open] = rest * available[is_open] / available[is_open].sum()
    if given.sum() <= 0:
        raise ShardError("no-training-side", "no document is left to draw from")
    return np.asarray(given / given.sum())


@dataclass(frozen=True)
class _Part:
    """What is sampled from one component, in its own order; ``due`` is when, from 0 to 1."""

    document: Longs
    component: Longs
    epoch: Longs
    tokens: Longs
    due: Reals


def _take(pool: TrainingPool, rows: Longs, quota: int, seed: int, component: int) -> _Part:
    available = int(pool.tokens[rows].sum())
    epochs = -(-quota // available) if available else 0
    document = np.concatenate(
        [np.empty(0, np.int64)] + [rows[_order(pool.key[rows], seed, e)] for e in range(epochs)]
    )
    tokens = pool.tokens[document]
    before = np.cumsum(tokens) - tokens
    count = int(np.searchsorted(before, quota, side="left"))
    document, tokens, before = document[:count], tokens[:count].copy(), before[:count]
    if count:
        tokens[-1] = quota - before[-1]
    return _Part(
        document=document,
        component=np.full(count, component),
        epoch=np.arange(count) // max(1, len(rows)),
        tokens=tokens,
        # The middle of a document: half of it early is as good as half of it late.
        due=(before + tokens / 2) / max(1, quota),
    )


def _order(keys: Hashes, seed: int, epoch: int) -> Longs:
    """The order of a source's documents in one epoch; a subset keeps the order of the whole."""
    with np.errstate(over="ignore"):
        state = mix64(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(epoch + 1))
        return np.argsort(mix64(keys ^ state), kind="stable")


def write_sample(task: SampleTask, context: TaskContext) -> TaskResult:
    """What SampleTask does."""
    columns = sorted({column for component in task.components for column in component.columns})
    pool = TrainingPool.read(task.tokenised, columns)
    sample = sample_mix(pool, task.components, task.budget, task.seed)
    (context.out / "sample").mkdir(parents=True, exist_ok=True)
    _write_tokens(task, pool, sample, context)
    names = np.array([component.name for component in task.components], object)
    tasks = np.array(task.tokenised.keys, object)
    columns_out = [
        names[sample.component],
        tasks[pool.shard[sample.document]],
        pool.row[sample.document],
        sample.epoch,
        sample.tokens,
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns_out, SAMPLE_SCHEMA, strict=True)]
    pq.write_table(
        pa.table(arrays, schema=SAMPLE_SCHEMA),
        context.out / f"sample/{task.key}.parquet",
        compression="zstd",
        write_page_checksum=True,
    )
    total = int(sample.tokens.sum())
    wanted = task.budget if task.budget is not None else total
    shares: list[JsonValue] = [dict(vars(share)) for share in sample.shares]
    return TaskResult(
        metrics={
            "mix": task.mix,
            "seed": task.seed,
            "wanted": wanted,
            "tokens": total,
            "documents": sum(share.documents for share in sample.shares),
            "short": total < wanted,
            "components": shares,
        }
    )


def _write_tokens(
    task: SampleTask, pool: TrainingPool, sample: MixSample, context: TaskContext
) -> None:
    receipts = task.tokenised.receipts()
    vocabulary = max(cast(int, receipt.metrics["vocabulary"]) for receipt in receipts)
    dtype = token_dtype(vocabulary)
    files = [
        map_tokens(path, dtype)
        for key in task.tokenised.keys
        for path in task.tokenised.outputs("tokens/", key)
    ]
    shards, starts = pool.shard[sample.document].tolist(), pool.start[sample.document].tolist()
    with (context.out / f"{task.key}.bin").open("wb") as out:
        places = zip(shards, starts, sample.tokens.tolist(), strict=True)
        for done, (shard, start, tokens) in enumerate(places, 1):
            # A document that is cut has no end-of-text token: its text goes on.
            out.write(files[shard][start : start + tokens].tobytes())
            if done % 1_024 == 0:
                context.progress(done, len(starts))
