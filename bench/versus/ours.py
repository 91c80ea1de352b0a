"""Our side: steps fused as the engine fuses them, timed over every document."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numba.core.event import install_recorder

from bench.versus.outcomes import Side, TaskResult, digest
from bench.versus.shards import batches
from dedup.minhash_dedup import MinhashDedup
from filters.c4_paragraphs import C4Paragraphs
from filters.c4_quality import C4Quality
from filters.fineweb_quality import FineWebQuality
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from filters.language import Language
from filters.repair import Repair
from filters.url import UrlFilter
from pipeline.documents import Docs
from pipeline.step import FilterResult, RowStep
from winnow.testing import warm_up

Step = RowStep | MinhashDedup
Steps = Sequence[tuple[str, Step]]

FILTERS: dict[str, type[Step]] = {
    "gopher_repetition": GopherRepetition,
    "gopher_quality": GopherQuality,
    "c4_quality": C4Quality,
    "fineweb_quality": FineWebQuality,
    "minhash": MinhashDedup,
    "language": Language,
    "c4_paragraphs": C4Paragraphs,
    "repair": Repair,
    "url": UrlFilter,
}
# Prose that no step of the recipe drops, and a list for which FineWeb's rules count words: what
# they lead to is loaded before the clock runs. Their few words are in the table then.
WARM_SCHEMA = pa.schema([(name, pa.large_string()) for name in ("id", "url", "text")])
WARM = (
    """The miller's daughter walked down to the river before anybody else had opened a shutter.
She carried two baskets, one of them with bread for the men who were to mend the wheel.
Nobody had told her that the bridge was gone, and so she stood there with wet shoes.
A boat lay on the other side; its owner would not be up for another hour.
"Then we wait," she said to the dog, which had already gone to sleep under an alder.
Far away a bell began to ring, and that was the end of her patience.""",
    "Internationalisation considerations.\nTelecommunication infrastructures.\n"
    "Environmental responsibilities, generally.\nAdministrative simplifications.",
)
RECIPE = ("gopher_repetition", "gopher_quality", "c4_quality", "fineweb_quality", "minhash")


def steps(names: Sequence[str]) -> Steps:
    """Every filter with its defaults, where these are datatrove's."""
    others = {"minhash": {"numbers": "ignore"}, "language": {"stop_at_eos": True}}
    return [(name, FILTERS[name](**others.get(name, {}))) for name in names]


class Measured(NamedTuple):
    """CPU seconds of ``reading`` are not in the side's. ``compiled`` counts kernels for which the
    time of compiling is."""

    side: Side
    reading: float
    compiled: int


def measure(chosen: Steps, files: Sequence[Path], wanted: Collection[int]) -> Measured:
    """Runs the fused ``chosen`` steps over all ``files``; call it in a fresh process.

    Kernels are loaded beforehand. The table of words holds those of WARM alone, and the folder in
    which winnow keeps what spaCy said in earlier runs is empty. Outcomes are kept of the
    ``wanted`` positions.
    """
    pa.set_cpu_count(1)
    with TemporaryDirectory() as empty, install_recorder("numba:compile") as compiling:
        # Where compiled kernels lie was settled when they were imported.
        os.environ["XDG_CACHE_HOME"] = empty
        for _, step in chosen:
            warm_up([step])
        rows = [{"id": "", "url": "http://example.org/", "text": text} for text in WARM]
        _judged(Docs(pa.RecordBatch.from_pylist(rows, WARM_SCHEMA)), chosen)
        compiling.buffer.clear()
        side, reading = _measured(chosen, files, wanted)
        return Measured(side, reading, len(compiling.buffer) // 2)


def _measured(chosen: Steps, files: Sequence[Path], wanted: Collection[int]) -> tuple[Side, float]:
    side, reading = Side(), 0.0
    found = batches(files)
    before = time.process_time()
    while (batch := next(found, None)) is not None:
        reading += time.process_time() - before
        before = time.process_time()
        docs = Docs(batch)
        trail, left, observed = _judged(docs, chosen)
        side.seconds += time.process_time() - before
        _keep_outcomes(side, docs, trail, left, observed, wanted, single=len(chosen) == 1)
        side.documents += len(docs)
        side.megabytes += _bytes(docs.text) / 1e6
        before = time.process_time()
    return side, reading + time.process_time() - before


Trail = list[tuple[str, FilterResult]]


def _judged(docs: Docs, chosen: Steps) -> tuple[Trail, Docs, pa.RecordBatch | None]:
    """The verdicts, each on what the one before has left, the documents left, their signatures."""
    trail: Trail = []
    observed = None
    for label, step in chosen:
        if isinstance(step, MinhashDedup):
            observed = step.map(docs)
            continue
        verdict = step.filter(docs)
        trail.append((label, verdict))
        if verdict.text is not None:
            docs = docs.with_text(verdict.text)
        if verdict.columns:
            docs = docs.with_columns(verdict.columns)
        docs = docs.filter(verdict.keep)
    return trail, docs, observed


def _keep_outcomes(
    side: Side,
    docs: Docs,
    trail: Trail,
    left: Docs,
    observed: pa.RecordBatch | None,
    wanted: Collection[int],
    *,
    single: bool,
) -> None:
    rows = np.arange(len(docs))
    reasons = [""] * len(docs)
    values: list[Any] = [None] * len(docs)
    for label, verdict in trail:
        if "language_score" in verdict.columns:
            pairs = (pa.array(verdict.columns[n]) for n in ("language", "language_score"))
            values = list(zip(*(column.to_pylist() for column in pairs), strict=True))
        for at in np.flatnonzero(~verdict.keep).tolist():
            reason = verdict.reason if isinstance(verdict.reason, str) else verdict.reason[at]
            reasons[rows[at]] = reason if single else f"{label}: {reason}"
        rows = rows[verdict.keep]
    last = dict(zip(rows.tolist(), range(len(rows)), strict=True))
    ids = docs.column("id")
    signatures = _signatures(observed) if observed is not None else None
    for row in range(len(docs)):
        if side.documents + row in wanted:
            text, value = None, values[row]
            if row in last:
                text = digest(left.text[last[row]].as_py())
                value = value if signatures is None else signatures[last[row]]
            outcome = TaskResult(reasons[row], text, value)
            side.add(side.documents + row, ids[row].as_py(), outcome)


def _signatures(observed: pa.RecordBatch) -> list[Any]:
    """The keys of the buckets of every document, None for one that has none."""
    names = [name for name in observed.schema.names if name.startswith("bucket")]
    keys = zip(*(observed.column(name).to_pylist() for name in names), strict=True)
    return [None if row[0] is None else row for row in keys]


def _bytes(text: pa.LargeStringArray) -> int:
    return int(pc.sum(pc.binary_length(text)).as_py() or 0)


def floor(files: Sequence[Path]) -> tuple[float, float]:
    """CPU seconds of reading ``files``, and of touching every byte of the texts once."""
    pa.set_cpu_count(1)
    touched, began = 0.0, time.process_time()
    for batch in batches(files):
        before = time.process_time()
        data = np.frombuffer(batch.column("text").buffers()[2], np.uint8)
        whole = len(data) // 8 * 8
        np.bitwise_xor.reduce(data[:whole].view(np.uint64))
        np.bitwise_xor.reduce(data[whole:])
        touched += time.process_time() - before
    return time.process_time() - began - touched, touched
