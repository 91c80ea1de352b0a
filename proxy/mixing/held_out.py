"""Which documents are held out for evaluation, and which others must not be trained on for it.

A held-out document must say something new: at least half of the word 5-grams of what is scored of
it must be distinctive, which means that no source holds them in more than one document out of a
hundred. Licences and templates are passed over that way, and stay in training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import JsonValue

from kernels.hashing.hashing import Hashes, xxh64_rows
from kernels.ngrams.overlap import OverlapIndex, Shingles, distinct, shingles
from kernels.text.utf8 import text_buffers
from proxy.mixing.evaluation_files import EvaluationDocument
from proxy.mixing.mixing_tasks import HeldOutTask
from proxy.mixing.scored_spans import scored_part, scored_spans
from winnow import (
    KEPT,
    ShardError,
    StageOutputs,
    TaskContext,
    TaskResult,
    read_documents,
)

MIN_DOCUMENTS, MAX_DOCUMENTS = 32, 400
MAX_BYTES = 2**20  # longer documents are not held out
# Documents of a source by which common 5-grams are known; so many candidates per wanted document.
REFERENCES, CANDIDATES = 500, 4
MIN_PREFIXES = 5  # fewer groups of ids are rather kinds of documents than documents alike
COMMON_SHARE, MIN_COMMON = 0.01, 3
HELD_OUT, COMMON = "held_out.parquet", "common.npy"

# ``task`` and ``row`` say where a document is in the corpus: key of the shard's task, and row in
# its files; "" and the row number (from 0) for those of an evaluation file. ``text`` is scored from
# character ``scored_from`` on; documents of one ``cluster`` are alike.
SCHEMA = pa.schema(
    [
        pa.field("target", pa.large_string(), nullable=False),
        pa.field("id", pa.large_string(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
        pa.field("scored_from", pa.int64(), nullable=False),
        pa.field("cluster", pa.large_string(), nullable=False),
        pa.field("task", pa.large_string(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),
    ]
)


def document_keys(batch: pa.RecordBatch, seed: int) -> Hashes:
    """One 64-bit number per document, from its source, id and place; all order and choice in the
    proxy comes from it, so neither depends on shards or workers."""
    parts = [batch.column(name) for name in ("source", "id", "_source", "_offset")]
    joined = pc.binary_join_element_wise(
        *(part.cast(pa.large_string()) for part in parts), pa.scalar("\0", pa.large_string())
    )
    return xxh64_rows(*text_buffers(joined), seed)


@dataclass(frozen=True)
class Candidate:
    """A document of the corpus that may be held out, by its key and place."""

    key: int
    task: str
    row: int
    id: str
    cluster: str


def hold_out(task: HeldOutTask, context: TaskContext) -> TaskResult:
    """What HeldOutTask does."""
    sizes, nearest = _nearest(task, context)
    wanted = {
        source: min(max(round(share * sizes[source]), MIN_DOCUMENTS), MAX_DOCUMENTS)
        for source, share in task.shares
    }
    wanted = {source: min(n, sizes[source] // 2) for source, n in wanted.items()}
    texts = _texts(task.corpus, [c for found in nearest.values() for c in found])
    rows: dict[str, list[dict[str, object]]] = {
        source: [
            _row(source, EvaluationDocument(c.id, text, 0, c.cluster), c.task, c.row)
            for c in nearest[source][: max(1, CANDIDATES * n)]
            if (text := texts[c.task, c.row]) is not None
        ]
        for source, n in wanted.items()
    }
    limits = dict(wanted)
    left_out: dict[str, int] = {}
    for file in task.files:
        documents = list(enumerate(file.documents()))
        fit = [(n, d) for n, d in documents if not d.is_empty and len(d.text.encode()) <= MAX_BYTES]
        if not fit:
            raise ShardError(
                "empty-evaluation-file", f"{file.settings.file} has no row with text to score"
            )
        left_out[file.target] = len(documents) - len(fit)
        rows[file.target] = _smallest([_row(file.target, d, "", n) for n, d in fit], task.seed)
    shingled = {t: _shingled([str(r["text"]) for r in found]) for t, found in rows.items()}
    references = {
        source: shingles(pa.array(known, pa.large_string()))
        for source, found in nearest.items()
        if (known := [t for c in found if (t := texts[c.task, c.row]) is not None])
    }
    common = _common(shingled, references)
    chosen: list[dict[str, object]] = []
    metrics: dict[str, JsonValue] = {}
    for target, found in rows.items():
        kept = found
        if target in limits:
            new = _distinctive(shingled[target], common)
            kept = [r for r, is_new in zip(found, new, strict=True) if is_new][: limits[target]]
            _refuse_none(target, sizes[target], kept)
        chosen += _unique_ids(_clustered(kept))
        metrics[target] = {
            "documents": len(kept),
            "bytes": sum(_scored_bytes(row) for row in kept),
            "clusters": len({row["cluster"] for row in kept}),
            "left_out": left_out.get(target, 0),
            "wanted": limits.get(target, len(kept)),
            "external": target not in limits,
        }
    context.out.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(chosen, SCHEMA)
    pq.write_table(table, context.out / HELD_OUT, compression="zstd", write_page_checksum=True)
    np.save(context.out / COMMON, common)
    return TaskResult(metrics={"targets": metrics, "common_ngrams": len(common)})


def _nearest(
    task: HeldOutTask, context: TaskContext
) -> tuple[dict[str, int], dict[str, list[Candidate]]]:
    """How many documents each source has, and those with its smallest keys in order."""
    sizes = {source: 0 for source, _ in task.shares}
    nearest: dict[str, list[Candidate]] = {source: [] for source in sizes}
    named = dict(task.clusters)
    columns = ["id", "source", "_source", "_offset", *dict.fromkeys(named.values())]
    for done, (key, path) in enumerate(corpus_files(task.corpus)):
        row = 0
        for batch in read_documents(path, columns):
            keys = document_keys(batch, task.seed)
            sources, ids = batch.column("source"), batch.column("id")
            for source in sizes:
                at = np.flatnonzero(pc.equal(sources, source).to_numpy(zero_copy_only=False))
                sizes[source] += len(at)
                at = at[np.argsort(keys[at], kind="stable")[: CANDIDATES * MAX_DOCUMENTS]]
                clusters = batch.column(named[source]) if source in named else None
                nearest[source] += [
                    Candidate(
                        int(keys[i]),
                        key,
                        row + int(i),
                        ids[int(i)].as_py(),
                        "" if clusters is None else str(clusters[int(i)].as_py() or ""),
                    )
                    for i in at
                ]
                nearest[source].sort(key=lambda c: c.key)
                del nearest[source][CANDIDATES * MAX_DOCUMENTS :]
            row += batch.num_rows
        context.progress(done + 1, len(task.corpus.keys))
    shares = dict(task.shares)
    for source, found in nearest.items():
        del found[max(REFERENCES, round(CANDIDATES * shares[source] * sizes[source])) :]
    return sizes, nearest


def _texts(corpus: StageOutputs, places: Sequence[Candidate]) -> dict[tuple[str, int], str | None]:
    """Texts by place; None for a document that cannot be held out for its length."""
    rows: dict[str, list[int]] = {}
    for place in places:
        rows.setdefault(place.task, []).append(place.row)
    found: dict[tuple[str, int], str | None] = {}
    for key, path in corpus_files(corpus):
        at = sorted(rows.get(key, []))
        for row, text in zip(at, texts_at(path, at), strict=True):
            found[key, row] = text if 0 < len(text.encode()) <= MAX_BYTES else None
    return found


def _refuse_none(source: str, documents: int, kept: Sequence[object]) -> None:
    if not kept:
        raise ShardError(
            "nothing-to-hold-out",
            f"none of the {documents} documents of {source!r} can be held out: they are "
            "fewer than two, empty, over 1 MiB, or repeat each other",
            f"deduplicate {source!r}, or leave it out of proxy.evaluate",
        )


def corpus_files(corpus: StageOutputs) -> Iterator[tuple[str, Path]]:
    """(task key, file of documents) of every shard, in order."""
    for key in corpus.keys:
        for path in corpus.outputs(KEPT, key):
            yield key, path


def texts_at(path: Path, rows: Sequence[int]) -> list[str]:
    """The texts of ``rows`` (ascending), reading no row group without one of them."""
    found: list[str] = []
    wanted = np.asarray(rows, np.int64)
    with pq.ParquetFile(path, page_checksum_verification=True) as file:
        begin = 0
        for group in range(file.metadata.num_row_groups):
            end = begin + file.metadata.row_group(group).num_rows
            inside = wanted[(wanted >= begin) & (wanted < end)] - begin
            if len(inside):
                column = file.read_row_group(group, columns=["text"]).column("text")
                found += column.take(pa.array(inside)).to_pylist()
            begin = end
    return found


def _row(target: str, document: EvaluationDocument, task: str, row: int) -> dict[str, object]:
    return {"target": target, **vars(document), "task": task, "row": row}


def _scored_bytes(row: dict[str, object]) -> int:
    text, scored_from = str(row["text"]), cast(int, row["scored_from"])
    return sum(len(span.text.encode()) for span in scored_spans(text, scored_from))


def _clustered(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Rows of one target, each with its cluster: the one it has, or its id up to the last slash
    where there are MIN_PREFIXES such or more, or itself."""
    prefixes = [str(row["id"]).rpartition("/")[0] for row in rows]
    by_prefix = len(set(prefixes)) >= MIN_PREFIXES and all(prefixes)
    for row, prefix in zip(rows, prefixes, strict=True):
        own = row["cluster"] or (prefix if by_prefix else f"{row['id']}#{row['row']}")
        row["cluster"] = f"{row['target']}/{own}"
    return rows


def _unique_ids(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Rows in which a repeated id carries its number: scores are paired by target and id."""
    seen: dict[object, int] = {}
    for row in rows:
        name = row["id"]
        seen[name] = number = seen.get(name, 0) + 1
        if number > 1:
            row["id"] = f"{name}#{number}"
    return rows


def _smallest(rows: list[dict[str, object]], seed: int) -> list[dict[str, object]]:
    """At most MAX_DOCUMENTS rows of an external file, chosen by hash."""
    names = pa.array([f"{r['target']}\0{r['row']}" for r in rows], pa.large_string())
    order = np.argsort(xxh64_rows(*text_buffers(names), seed), kind="stable")
    return [rows[i] for i in np.sort(order[:MAX_DOCUMENTS])]


def _shingled(texts: Sequence[str]) -> Shingles:
    return shingles(pa.array([scored_part(text) for text in texts], pa.large_string()))


def _common(few: Mapping[str, Shingles], references: Mapping[str, Shingles]) -> Hashes:
    """Shingles that more than 1 % of some source's reference documents hold, ascending."""
    every = np.unique(np.concatenate([np.empty(0, np.uint64), *(s.values for s in few.values())]))
    index = OverlapIndex.build(Shingles(every, np.array([0, len(every)], np.int64)))
    is_common = np.zeros(len(every), np.bool_)
    for known in references.values():
        bound = max(MIN_COMMON - 1, COMMON_SHARE * len(known))
        is_common |= index.frequencies(known) > bound
    return every[is_common]


def _distinctive(few: Shingles, common: Hashes) -> npt.NDArray[np.bool_]:
    """[rows] Whether at least half of a row's distinct shingles are not common."""
    values, owners = distinct(few)
    sizes = np.bincount(owners, minlength=len(few))
    rare = np.bincount(owners[~np.isin(values, common)], minlength=len(few))
    return np.asarray(2 * rare >= sizes)
