"""Drawing a mix: which pieces of the training side, how often, and in which order.

Every source has one order of its pieces per seed and epoch, the same in all mixes, so that two
mixes differ in nothing but their shares. Sources are interleaved so that the shares hold from the
first documents to the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import JsonValue

from kernels.hashing.hashing import Hashes
from proxy.parts import Pile
from proxy.pool import Longs, Pool, Reals, choose, mix64
from proxy.tokenise import TOKEN_DTYPE
from winnow import ShardError, StageOutputs, TaskContext, TaskResult

# One row per piece drawn, in order. ``row`` is its document's row in index/{task}.parquet of the
# tokenised corpus, ``offset`` where it begins there in tokens; ``tokens`` as drawn, with the
# end-of-text token (the last piece of a pile may be cut).
DRAWN_SCHEMA = pa.schema(
    [
        pa.field("pile", pa.large_string(), nullable=False),
        pa.field("task", pa.large_string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("epoch", pa.int32(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Share:
    """What one pile gives to a mix, in documents and tokens (end-of-text tokens included).

    ``wanted`` is its share of the budget by weight; ``tokens`` what was drawn, which differs where
    a source ran out. ``low`` and ``high`` are the scores between which the bucket lies: low ≤ score
    < high, None where open. ``unscored`` documents have no score and are in no bucket.
    """

    pile: str
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


@dataclass(frozen=True)
class Draw:
    """The pieces of a mix in order [drawn]: index into the pool, index of the pile, epoch (from
    0) and tokens to take; and what each pile gave."""

    piece: Longs
    pile: Longs
    epoch: Longs
    tokens: Longs
    shares: tuple[Share, ...]


def draw(pool: Pool, piles: Sequence[Pile], budget: int | None, seed: int) -> Draw:
    """Draw ``budget`` tokens (None: as many as the piles have) from ``piles``.

    Raises ShardError when a pile that the mix names has no documents.
    """
    members, shares = [], []
    for pile in piles:
        rows, share = _members(pool, pile)
        members.append(rows)
        shares.append(share)
    available = np.array([share.available_tokens for share in shares], np.float64)
    weights = _weights(piles, available)
    budget = budget if budget is not None else int(available.sum())
    caps = np.floor(available * [pile.max_epochs for pile in piles]).astype(np.int64)
    quotas = fill(weights, caps, budget)
    parts = [
        _take(pool, rows, int(quota), seed, number)
        for number, (rows, quota) in enumerate(zip(members, quotas, strict=True))
    ]
    due = np.concatenate([part.due for part in parts])
    order = np.argsort(due, kind="stable")
    drawn = [
        replace(
            share,
            weight=float(weight),
            wanted=round(float(weight) * budget),
            documents=_documents(pool, part.piece),
            tokens=int(part.tokens.sum()),
            epochs=round(float(part.tokens.sum()) / max(1, share.available_tokens), 4),
        )
        for share, weight, part in zip(shares, weights, parts, strict=True)
    ]
    return Draw(
        piece=np.concatenate([part.piece for part in parts])[order],
        pile=np.concatenate([part.pile for part in parts])[order],
        epoch=np.concatenate([part.epoch for part in parts])[order],
        tokens=np.concatenate([part.tokens for part in parts])[order],
        shares=tuple(drawn),
    )


def fill(weights: Reals, caps: Longs, budget: int) -> Longs:
    """Tokens per pile: ``budget`` by ``weights`` [piles], none above its cap. What a pile cannot
    give goes to the others in proportion to their weights, until none can give more."""
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
    # Rounding leaves fewer tokens than there are piles; the first that can take one do.
    for pile in np.flatnonzero((weights > 0) & (whole < caps))[: max(0, missing)]:
        whole[pile] += 1
    return whole


def _members(pool: Pool, pile: Pile) -> tuple[Longs, Share]:
    """Pieces of the pool that belong to a pile, and the pile's share with nothing drawn yet."""
    chosen = choose(pool, pile)
    return chosen.pieces, Share(
        pile=pile.name,
        source=pile.source,
        weight=0.0,
        available_documents=_documents(pool, chosen.pieces),
        available_tokens=int(pool.tokens[chosen.pieces].sum()),
        max_epochs=pile.max_epochs,
        low=chosen.low,
        high=chosen.high,
        unscored=chosen.unscored,
    )


def _documents(pool: Pool, pieces: Longs) -> int:
    """How many documents these pieces belong to."""
    return len(np.unique(np.stack([pool.shard[pieces], pool.row[pieces]]), axis=1)[0])


def _weights(piles: Sequence[Pile], available: Reals) -> Reals:
    """Weights [piles] that add up to 1; those not given share the rest by available tokens."""
    given = np.array([pile.weight or 0.0 for pile in piles])
    is_open = np.array([pile.weight is None for pile in piles])
    rest = max(0.0, 1.0 - given.sum())
    if is_open.any() and available[is_open].sum() > 0:
        given[is_open] = rest * available[is_open] / available[is_open].sum()
    if given.sum() <= 0:
        raise ShardError("no-training-side", "no document is left to draw from")
    return np.asarray(given / given.sum())


@dataclass(frozen=True)
class _Part:
    """What is drawn from one pile, in its own order; ``due`` is when, from 0 to 1."""

    piece: Longs
    pile: Longs
    epoch: Longs
    tokens: Longs
    due: Reals


def _take(pool: Pool, rows: Longs, quota: int, seed: int, pile: int) -> _Part:
    available = int(pool.tokens[rows].sum())
    epochs = -(-quota // available) if available else 0
    piece = np.concatenate(
        [np.empty(0, np.int64)] + [rows[_order(pool.key[rows], seed, e)] for e in range(epochs)]
    )
    tokens = pool.tokens[piece]
    before = np.cumsum(tokens) - tokens
    count = int(np.searchsorted(before, quota, side="left"))
    piece, tokens, before = piece[:count], tokens[:count].copy(), before[:count]
    if count:
        tokens[-1] = quota - before[-1]
    return _Part(
        piece=piece,
        pile=np.full(count, pile),
        epoch=np.arange(count) // max(1, len(rows)),
        tokens=tokens,
        # The middle of a piece: half a piece early is as good as half a piece late.
        due=(before + tokens / 2) / max(1, quota),
    )


def _order(keys: Hashes, seed: int, epoch: int) -> Longs:
    """The order of a source's pieces in one epoch; a subset keeps the order of the whole."""
    with np.errstate(over="ignore"):
        state = mix64(np.uint64(seed) + np.uint64(0x9E3779B97F4A7C15) * np.uint64(epoch + 1))
        return np.argsort(mix64(keys ^ state), kind="stable")


@dataclass(frozen=True)
class MixTask:
    """Materialise one mix for one seed.

    Writes {key}.bin (little-endian uint16, every piece ends with the end-of-text token) and
    drawn/{key}.parquet (DRAWN_SCHEMA). Metrics: tokens wanted and drawn, and the share of
    each pile.
    """

    key: str
    mix: str
    piles: tuple[Pile, ...]
    budget: int | None
    seed: int
    tokenised: StageOutputs

    def run(self, context: TaskContext) -> TaskResult:
        columns = sorted({column for pile in self.piles for column in pile.columns})
        pool = Pool.read(self.tokenised, columns)
        drawn = draw(pool, self.piles, self.budget, self.seed)
        (context.out / "drawn").mkdir(parents=True, exist_ok=True)
        self._write_tokens(pool, drawn, context)
        names = np.array([pile.name for pile in self.piles], object)
        tasks = np.array(self.tokenised.keys, object)
        columns_out = [
            names[drawn.pile],
            tasks[pool.shard[drawn.piece]],
            pool.row[drawn.piece],
            pool.offset[drawn.piece],
            drawn.epoch,
            drawn.tokens,
        ]
        arrays = [pa.array(c, f.type) for c, f in zip(columns_out, DRAWN_SCHEMA, strict=True)]
        pq.write_table(
            pa.table(arrays, schema=DRAWN_SCHEMA),
            context.out / f"drawn/{self.key}.parquet",
            compression="zstd",
            write_page_checksum=True,
        )
        total = int(drawn.tokens.sum())
        wanted = self.budget if self.budget is not None else total
        shares: list[JsonValue] = [dict(vars(share)) for share in drawn.shares]
        return TaskResult(
            metrics={
                "mix": self.mix,
                "seed": self.seed,
                "wanted": wanted,
                "tokens": total,
                "documents": sum(share.documents for share in drawn.shares),
                "short": total < wanted,
                "piles": shares,
            }
        )

    def _write_tokens(self, pool: Pool, drawn: Draw, context: TaskContext) -> None:
        files = []
        for key in self.tokenised.keys:
            (path,) = self.tokenised.outputs("tokens/", key)
            # An empty file cannot be mapped, and has nothing to draw.
            size = path.stat().st_size
            files.append(np.memmap(path, TOKEN_DTYPE, "r") if size else np.empty(0, TOKEN_DTYPE))
        shards, starts = pool.shard[drawn.piece].tolist(), pool.start[drawn.piece].tolist()
        ends = pool.end[drawn.piece].tolist()
        with (context.out / f"{self.key}.bin").open("wb") as out:
            places = zip(shards, starts, ends, drawn.tokens.tolist(), strict=True)
            for done, (shard, start, end, take) in enumerate(places, 1):
                # Whatever is cut still ends with the end-of-text token, its document's last.
                out.write(files[shard][start : start + take - 1].tobytes())
                out.write(files[shard][end - 1 : end].tobytes())
                if done % 1_024 == 0:
                    context.progress(done, len(ends))
