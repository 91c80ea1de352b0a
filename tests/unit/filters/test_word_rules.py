"""Filters that read words do so in the language they are told, as datatrove's do."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.data import Document
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)

from filters.c4_quality import C4Quality
from filters.fineweb_quality import FineWebQuality
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition
from kernels.words.languages import LanguageUnavailable, sentence_code, tokenizer_of
from pipeline.documents import Docs
from pipeline.step import ManifestView, RowStep

PAIRS: list[tuple[Callable[..., RowStep], Callable[..., Any]]] = [
    (GopherRepetition, GopherRepetitionFilter),
    (GopherQuality, GopherQualityFilter),
    (C4Quality, C4QualityFilter),
    (FineWebQuality, FineWebQualityFilter),
]
VIEW = ManifestView(folder=Path(), seed=1, sources=())


def texts_by_language(shared_data: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    with (shared_data / "truth" / "languages.jsonl.zst").open("rb") as raw:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw)):
            row = orjson.loads(line)
            language = row.get("language") or row.get("lang") or row.get("label")
            found.setdefault(language, []).append(row["text"])
    return found


def verdicts(step: RowStep, texts: list[str]) -> list[tuple[str, str]]:
    """Each text's reason ("" for kept) and what became of a kept one."""
    docs = Docs(pa.record_batch({"text": pa.array(texts, pa.large_string())}))
    verdict = step.filter(docs)
    after = (docs.text if verdict.text is None else verdict.text).to_pylist()
    reasons = ["" if keep else str(r) for keep, r in zip(verdict.keep, verdict.reason, strict=True)]
    return [
        (reason, text if not reason else "") for reason, text in zip(reasons, after, strict=True)
    ]


def datatrove_verdict(theirs: Any, text: str) -> tuple[str, str]:
    document = Document(text=text, id="x")
    verdict = theirs.filter(document)
    return ("", document.text) if verdict is True else (str(verdict[1]), "")


@pytest.mark.parametrize(("ours", "theirs"), PAIRS)
def test_texts_in_their_own_language_get_the_verdict_of_datatrove(
    shared_data: Path, ours: Callable[..., RowStep], theirs: Callable[..., Any]
) -> None:
    tried = 0
    for language, texts in list(texts_by_language(shared_data).items())[::5]:
        try:
            sentence_code(language) if ours is C4Quality else tokenizer_of(language)
        except LanguageUnavailable:
            continue
        other = theirs(language=language)
        sample = [text[:2_000] * 3 for text in texts[:2]]
        expected = [datatrove_verdict(other, text) for text in sample]
        assert verdicts(ours(language=language), sample) == expected, language
        tried += 1
    assert tried > 5


@pytest.mark.parametrize("ours", [ours for ours, _ in PAIRS])
def test_a_language_without_words_is_a_problem_of_the_manifest(
    ours: Callable[..., RowStep],
) -> None:
    (problem,) = ours(language="jpn").check(VIEW)
    assert problem.path == ("language",)
    assert problem.code == "no-tokenizer"
    assert "'jpn'" in problem.message
    assert problem.hint
    assert not list(ours(language="deu").check(VIEW))


def test_words_are_shared_by_filters_of_one_language_and_no_other() -> None:
    docs = Docs(pa.record_batch({"text": pa.array(["some words"], pa.large_string())}))
    english = GopherQuality().words(docs)
    assert GopherQuality().words(docs) is english
    assert GopherQuality(language="de").words(docs) is not english
