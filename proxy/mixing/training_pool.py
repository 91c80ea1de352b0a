"""What mixes are sampled from: the training side, and which documents a component selects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from kernels.hashing.hashing import Hashes
from proxy.mixing.components import Category, Component, Values
from proxy.mixing.tokenise import CARRIED
from winnow import ShardError, StageOutputs

Longs = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
Trues = npt.NDArray[np.bool_]

SHOWN_VALUES = 20


@dataclass(frozen=True)
class Categories:
    """A column of categories [documents]: ``code`` is an index into ``values``, −1 where null."""

    code: Longs
    values: tuple[str, ...]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> Categories:
        """From a column of dictionary type."""
        whole = column.unify_dictionaries().combine_chunks()
        code = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(code, tuple(whole.dictionary.to_pylist()))


@dataclass(frozen=True)
class TrainingPool:
    """The training side in columns [documents], in corpus order.

    ``shard`` and ``start`` (in tokens) say where a document lies in the token files, ``tokens`` how
    long it is there with its end-of-text token, and ``row`` where it is in its shard's index.
    ``scores`` are columns of numbers, NaN where there is none;
    ``categories`` columns of text.
    """

    source: npt.NDArray[np.object_]
    key: Hashes
    tokens: Longs
    shard: Longs
    row: Longs
    start: Longs
    scores: Mapping[str, Reals]
    categories: Mapping[str, Categories] = field(default_factory=dict)

    @classmethod
    def read(cls, tokenised: StageOutputs, columns: Sequence[str]) -> TrainingPool:
        """From what TokeniseTask has left. In a shard that lacks one of ``columns`` its documents
        have no score or category."""
        tables = []
        for key in tokenised.keys:
            (path,) = tokenised.outputs("index/", key)
            schema = pq.read_schema(path)
            have = [CARRIED + name for name in columns if CARRIED + name in schema.names]
            text = [name for name in have if pa.types.is_large_string(schema.field(name).type)]
            tables.append(
                pq.read_table(
                    path,
                    columns=["source", "key", "tokens", *have],
                    read_dictionary=text,
                    page_checksum_verification=True,
                )
            )
        lengths = [len(table) for table in tables]
        shard = np.repeat(np.arange(len(tables)), lengths)
        first = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
        whole = pa.concat_tables(tables, promote_options="default")
        tokens = whole["tokens"].to_numpy()
        starts = np.cumsum(tokens) - tokens
        origin = starts[first] if len(whole) else starts
        names = [name for name in columns if CARRIED + name in whole.column_names]
        found = {name: whole[CARRIED + name] for name in names}
        sorting = [name for name in names if pa.types.is_dictionary(found[name].type)]
        return cls(
            source=whole["source"].to_numpy(zero_copy_only=False),
            key=whole["key"].to_numpy(),
            tokens=tokens,
            shard=shard,
            row=np.arange(len(whole)) - first,
            start=starts - origin,
            scores={
                name: column.to_numpy(zero_copy_only=False).astype(np.float64)
                for name, column in found.items()
                if name not in sorting
            },
            categories={name: Categories.of(found[name]) for name in sorting},
        )


@dataclass(frozen=True)
class Selection:
    """The documents of a component. ``low`` and ``high`` are the scores between which its bucket
    lies: low ≤ score < high, None where open. ``unscored`` documents have no score and are in no
    bucket. ``lowest`` and ``highest`` are of the scores that documents have, None without."""

    documents: Longs
    low: float | None = None
    high: float | None = None
    unscored: int = 0
    lowest: float | None = None
    highest: float | None = None


def select(pool: TrainingPool, component: Component) -> Selection:
    """The documents of a component's source that have its categories and lie in its bucket.

    Raises ShardError when the component names a column or a category that no document has, or when
    none is left although the mix names the component.
    """
    documents = np.flatnonzero(pool.source == component.source)
    inside = np.ones(len(documents), np.bool_)
    for column, values in component.categories:
        inside &= _with_categories(pool, documents, component.source, column, values)
    chosen = Selection(documents[inside])
    if component.bucket:
        chosen = _in_bucket(pool, chosen.documents, component)
    if not len(chosen.documents) and (component.weight is not None or component.columns):
        hint = "take it out of the mix"
        if component.bucket:
            hint += ", or choose a wider bucket (many scores may be equal)"
        elif len(component.categories) > 1:
            hint += ": its categories exist, but no document has all of them"
        raise ShardError(
            "empty-component", f"no training document is left in {component.name!r}", hint
        )
    return chosen


def quantile(scores: Reals, tokens: Longs, share: float) -> float:
    """The least score below or at which ``share`` of the tokens lie (no NaN among the scores)."""
    order = np.argsort(scores, kind="stable")
    mass = np.cumsum(tokens[order])
    place = int(np.searchsorted(mass, share * mass[-1] * (1 + 1e-12), side="right"))
    return float(scores[order[min(place, len(order) - 1)]])


def _in_bucket(pool: TrainingPool, documents: Longs, component: Component) -> Selection:
    if component.column not in pool.scores:
        raise ShardError("no-scores", f"no document has a numeric column {component.column!r}")
    scores = pool.scores[component.column][documents]
    unscored = int(np.isnan(scores).sum())
    documents, scores = documents[~np.isnan(scores)], scores[~np.isnan(scores)]
    low = high = None
    below, above = component.quantiles
    if len(documents) and below > 0:
        low = quantile(scores, pool.tokens[documents], below)
    if len(documents) and above < 1:
        high = quantile(scores, pool.tokens[documents], above)
    inside = (scores >= (-np.inf if low is None else low)) & (
        scores < (np.inf if high is None else high)
    )
    lowest, highest = (scores.min(), scores.max()) if len(scores) else (None, None)
    return Selection(documents[inside], low, high, unscored, _plain(lowest), _plain(highest))


def _plain(score: np.float64 | None) -> float | None:
    return None if score is None else float(score)


def _with_categories(
    pool: TrainingPool, documents: Longs, source: str, column: str, values: Values
) -> Trues:
    """Which of ``documents`` have one of ``values`` in ``column``."""
    there: list[Category]
    inside: Trues
    if column in pool.categories:
        known = pool.categories[column]
        code = known.code[documents]
        there = sorted(known.values[number] for number in np.unique(code[code >= 0]))
        wanted = [number for number, value in enumerate(known.values) if value in values]
        inside = np.isin(code, wanted)
    elif column in pool.scores:
        numbers = pool.scores[column][documents]
        there = [_whole(number) for number in np.unique(numbers[~np.isnan(numbers)]).tolist()]
        inside = np.isin(numbers, [value for value in values if not isinstance(value, str)])
    else:
        raise ShardError("no-categories", f"no document has a column {column!r} of categories")
    # A word that no document has is a slip of the pen. A number may be one of a range of buckets,
    # of which some are empty.
    numbers_there = any(value in there for value in values if not isinstance(value, str))
    for value in values:
        if value not in there and (isinstance(value, str) or not numbers_there):
            shown = ", ".join(map(repr, there[:SHOWN_VALUES]))
            more = f", … ({len(there)} in all)" if len(there) > SHOWN_VALUES else ""
            raise ShardError(
                "unknown-category",
                f"no training document of {source!r} has {value!r} in the column {column!r}",
                f"there are: {shown}{more}" if there else "no document has any value there",
            )
    return inside


def _whole(number: float) -> Category:
    """A number of a column as it is written in a manifest, where it can be."""
    return int(number) if number.is_integer() else str(number)


def mix64(value: Hashes | np.uint64) -> Hashes:
    """The finaliser of SplitMix64 (Steele, Lea, Flood 2014): bijective, all bits depend on all."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)))
