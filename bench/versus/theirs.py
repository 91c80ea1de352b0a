"""datatrove's side: its own filters, document by document, as its pipeline runs them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.filters import (
    C4ParagraphFilter,
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    LanguageFilter,
)
from datatrove.utils.text import split_into_parts, split_into_words

from bench.versus.outcomes import Side, TaskResult, digest
from bench.versus.shards import Item, items, sample
from filters.language import PACKAGE, RESOURCE
from kernels.ngrams.minhash import bands
from pipeline.named_files import packaged

# What a filter says of a document that it may edit: a reason ("" to keep it), and a value.
Act = Callable[[Document], tuple[str, Any]]


def _filter(name: str, made: Any) -> Act:
    def act(document: Document) -> tuple[str, Any]:
        said = made.filter(document)
        if isinstance(said, tuple):
            said, reason = said
        else:
            reason = name  # it gives none
        return ("" if said else str(reason)), None

    return act


def _language(name: str) -> Act:
    from fasttext.FastText import _FastText

    # It wants one fork of fastText by name; any reads the model alike.
    LanguageFilter._requires_dependencies = []
    made = LanguageFilter()
    # It would download lid.176.bin; this is the same model as ours.
    made.model._model = _FastText(str(packaged(PACKAGE, *RESOURCE)))
    act = _filter(name, made)

    def labelled(document: Document) -> tuple[str, Any]:
        reason, _ = act(document)
        return reason, tuple(document.metadata[key] for key in ("language", "language_score"))

    return labelled


def _url(name: str) -> Act:
    from datatrove.pipeline.filters import URLFilter
    from tldextract import TLDExtract

    made = URLFilter()
    made.tldextractor = TLDExtract(suffix_list_urls=())  # no network
    return _filter(name, made)


def _repair(name: str) -> Act:
    from datatrove.pipeline.formatters import FTFYFormatter

    made = FTFYFormatter()

    def act(document: Document) -> tuple[str, Any]:
        document.text = made.format(document.text)
        return "", None

    return act


def _minhash(name: str) -> Act:
    from datatrove.pipeline.dedup import MinhashDedupSignature

    made = MinhashDedupSignature(tempfile.mkdtemp())

    def act(document: Document) -> tuple[str, Any]:
        shingles = made.get_shingles(document.text)
        return "", made.get_signature(shingles) if shingles.size else None

    return act


def _plain(kind: type[PipelineStep]) -> Callable[[str], Act]:
    return lambda name: _filter(name, kind())


FILTERS: dict[str, Callable[[str], Act]] = {
    "gopher_repetition": _plain(GopherRepetitionFilter),
    "gopher_quality": _plain(GopherQualityFilter),
    "c4_quality": _plain(C4QualityFilter),
    "fineweb_quality": _plain(FineWebQualityFilter),
    "minhash": _minhash,
    "language": _language,
    "c4_paragraphs": _plain(C4ParagraphFilter),
    "repair": _repair,
    "url": _url,
}
WARM = "One line of text. It says a thing or two.\nIt is not measured."


def measure(
    names: Sequence[str],
    recipe: Sequence[str],
    files: Sequence[Path],
    seconds: float | None,
    limit: int | None,
) -> dict[str, Side]:
    """Every filter by itself, and ``recipe`` one after the other; call it in a fresh process.

    Stops after the document with which ``seconds`` of CPU are spent, or ``limit`` documents are
    seen; then documents are in random order. With neither, all documents are seen, in order.
    A filter by itself finds the words itself; in the recipe datatrove's cache of the last five
    texts spares it what the filter before has done.
    """
    pa.set_cpu_count(1)
    acts = {name: FILTERS[name](name) for name in {*names, *recipe}}
    # The first text with this word in it leaves spaCy's vocabulary broken for the word, and all
    # later ones are read without it. Ours treats every text as a later one.
    split_into_words("IS_ALPHA")
    for act in acts.values():
        act(_document(Item(0, "warm", "http://example.org/", WARM)))
    runs = {name: [name] for name in names} | ({"recipe": list(recipe)} if recipe else {})
    sides = {name: Side() for name in runs}
    found: Iterable[Item] = items(files) if seconds is None and limit is None else sample(files)
    spent = 0.0
    for count, item in enumerate(found):
        if count == limit or (seconds is not None and spent > seconds):
            break
        for name, run in runs.items():
            if name == "url" and not item.url:
                continue
            spent += _one(sides[name], item, [(label, acts[label]) for label in run])
    return sides


def _document(item: Item) -> Document:
    return Document(text=item.text, id=item.id, metadata={"url": item.url} if item.url else {})


def _one(side: Side, item: Item, run: Sequence[tuple[str, Act]]) -> float:
    """Adds the outcome; returns CPU seconds."""
    split_into_parts.cache_clear()
    document, reason, value, error, label = _document(item), "", None, "", ""
    before = time.process_time()
    try:
        for label, act in run:  # noqa: B007 - the last one is what dropped it, or raised
            reason, value = act(document)
            if reason:
                break
    except Exception as raised:  # noqa: BLE001 - what it raises is the finding
        error = f"{label}: {type(raised).__name__}: {raised}"
    seconds = time.process_time() - before
    side.seconds += seconds
    side.documents += 1
    side.megabytes += len(item.text.encode()) / 1e6
    if reason and len(run) > 1:
        reason = f"{label}: {reason}"
    if label == "minhash" and value is not None:
        keys = bands(np.array(value, np.uint64).reshape(1, -1), len(value))
        value = tuple(keys[0].tolist())
    text = None if reason or error else digest(document.text)
    side.add(item.position, item.id, TaskResult(reason, text, value, error))
    return seconds
