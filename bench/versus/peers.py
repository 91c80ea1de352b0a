"""Other projects' filters with the same rules, where they can be imported."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.metadata import version
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from bench.versus.ours import Steps, steps
from bench.versus.outcomes import Side, TaskResult
from bench.versus.shards import items
from filters.gopher_quality import GopherQuality
from filters.gopher_repetition import GopherRepetition

Judge = Callable[[str], str]  # the first rule that a text breaks, "" where it stays
# Gopher's limits (arXiv:2112.11446, table A1) by length of n-gram.
TOP = {2: 0.20, 3: 0.18, 4: 0.16}
REPEATED = {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}


@dataclass(frozen=True)
class Peer:
    """``differs`` says what its rules do otherwise."""

    project: str
    filter: str
    ours: Steps
    load: Callable[[], Judge]
    differs: str


class Measured(NamedTuple):
    """``error`` says why there is no side."""

    version: str
    side: Side
    error: str = ""


def measure(
    number: int, files: Sequence[Path], wanted: Collection[int], seconds: float | None
) -> Measured:
    """One of PEERS on the ``wanted`` documents, until ``seconds`` of CPU are spent."""
    peer, side = PEERS[number], Side()
    try:
        with redirect_stderr(StringIO()):  # some say at length what they do not find
            judge = peer.load()
    except ImportError as error:
        return Measured("", side, f"{type(error).__name__}: {error}")
    judge("Some text. It is not measured.\n\nNor is this.")
    for item in items(files):
        if item.position not in wanted:
            continue
        if seconds is not None and side.seconds > seconds:
            break
        before = time.process_time()
        try:
            outcome = TaskResult(judge(item.text))
        except Exception as error:  # noqa: BLE001 - what it raises is the finding
            outcome = TaskResult("", error=f"{type(error).__name__}: {error}")
        side.seconds += time.process_time() - before
        side.documents += 1
        side.megabytes += len(item.text.encode()) / 1e6
        side.add(item.position, item.id, outcome)
    return Measured(version(peer.project), side)


def _dolma_gopher() -> Judge:
    from dolma.core.data_types import Document
    from dolma.taggers.gopher import GopherTaggerV2

    tagger = GopherTaggerV2()
    most = {
        "fraction_of_duplicate_lines": 0.30,
        "fraction_of_characters_in_duplicate_lines": 0.20,
        **{f"fraction_of_characters_in_most_common_{n}grams": most for n, most in TOP.items()},
        **{f"fraction_of_characters_in_duplicate_{n}grams": most for n, most in REPEATED.items()},
        "word_count": 100_000,
        "median_word_length": 10,
        "symbol_to_word_ratio": 0.1,
        "fraction_of_lines_starting_with_bullet_point": 0.9,
        "fraction_of_lines_ending_with_ellipsis": 0.3,
    }
    least = {
        "word_count": 50,
        "median_word_length": 3,
        "fraction_of_words_with_alpha_character": 0.8,
        "required_word_count": 2,
    }

    def judge(text: str) -> str:
        found = tagger.predict(Document(source="", id="", text=text)).spans
        scores = {span.type: span.score for span in found}
        high = (name for name, limit in most.items() if scores.get(name, 0) > limit)
        low = (name for name, limit in least.items() if scores.get(name, 0) < limit)
        return next(chain(high, low), "")

    return judge


def _dolma_c4() -> Judge:
    from dolma.core.data_types import Document
    from dolma.taggers.c4 import FasterC4Tagger

    tagger = FasterC4Tagger()

    def judge(text: str) -> str:
        spans = tagger.predict(Document(source="", id="", text=text)).spans
        for span in spans:
            if span.type in ("has_curly_brace", "has_lorem_ipsum"):
                return str(span.type)
        lines = next(span.score for span in spans if span.type == "line_count")
        faults = {(s.start, s.end) for s in spans if s.type.startswith("lines_with_")}
        return "" if lines - len(faults) >= 5 else "too_few_lines"

    return judge


def _nemo(made: Callable[[Any, Any], Sequence[Any]]) -> Callable[[], Judge]:
    def load() -> Judge:
        from nemo_curator.stages.text.filters.heuristic import repetition, string

        filters = made(string, repetition)

        def judge(text: str) -> str:
            broken = (f.name for f in filters if not f.keep_document(f.score_document(text)))
            return next(broken, "")

        return judge

    return load


def _nemo_quality(string: Any, repetition: Any) -> list[Any]:
    return [
        string.WordCountFilter(min_words=50, max_words=100_000),
        string.MeanWordLengthFilter(),
        string.SymbolsToWordsFilter(),
        string.BulletsFilter(),
        string.EllipsisFilter(),
        string.WordsWithoutAlphabetsFilter(),
        string.CommonEnglishWordsFilter(),
    ]


def _nemo_repetition(string: Any, repetition: Any) -> list[Any]:
    return [
        repetition.RepeatedParagraphsFilter(),
        repetition.RepeatedParagraphsByCharFilter(),
        repetition.RepeatedLinesFilter(),
        repetition.RepeatedLinesByCharFilter(),
        *(repetition.RepeatingTopNGramsFilter(n, most) for n, most in TOP.items()),
        *(repetition.RepeatingDuplicateNGramsFilter(n, most) for n, most in REPEATED.items()),
    ]


def _juicer(module: str, name: str, **parameters: Any) -> Callable[[], Judge]:
    def load() -> Judge:
        from importlib import import_module

        made = getattr(import_module(f"data_juicer.ops.filter.{module}"), name)(**parameters)

        def judge(text: str) -> str:
            stats = made.compute_stats_batched({"text": [text], "__dj__stats__": [{}]})
            return "" if next(iter(made.process_batched(stats))) else module

        return judge

    return load


_WORDS_ONLY = GopherQuality(
    min_avg_word_length=None,
    max_avg_word_length=None,
    max_symbol_word_ratio=None,
    max_bullet_lines_ratio=None,
    max_ellipsis_lines_ratio=None,
    max_non_alpha_words_ratio=None,
    min_stop_words=None,
)
_TEN_GRAMS_ONLY = GopherRepetition(
    dup_line_frac=None,
    dup_para_frac=None,
    dup_line_char_frac=None,
    dup_para_char_frac=None,
    top_n_grams=(),
    dup_n_grams=((10, 0.1),),
)

PEERS = (
    Peer(
        "dolma",
        "gopher_v2 tagger, Gopher's limits",
        steps(["gopher_repetition", "gopher_quality"]),
        _dolma_gopher,
        "words lie between white space, punctuation and all; every occurrence of a repeated line "
        "or n-gram counts, also the first; shares are of characters without white space; the "
        "median word length; no rule on paragraphs; bullets are * and -; ellipses are … alone; "
        "stop words count each time",
    ),
    Peer(
        "dolma",
        "c4_v2 tagger, lines left ≥ 5",
        steps(["c4_quality"]),
        _dolma_c4,
        "counts lines, not sentences; braces and lorem ipsum in any line count, also in one that "
        "is taken out; lines that end in ' or ... and such on cookies or JavaScript are judged "
        "otherwise; no text is edited",
    ),
    Peer(
        "nemo-curator",
        "7 heuristic filters of Gopher's quality rules",
        steps(["gopher_quality"]),
        _nemo(_nemo_quality),
        "words lie between white space; a symbol is a word that is mostly # or an ellipsis; more "
        "kinds of bullets, but not -; blank lines are no lines; stop words count each time",
    ),
    Peer(
        "nemo-curator",
        "13 heuristic filters of Gopher's repetition rules",
        steps(["gopher_repetition"]),
        _nemo(_nemo_repetition),
        "words lie between white space; a text of fewer words than n is dropped; the most frequent "
        "n-gram is looked for with single spaces; an n-gram's overlapping repeats count",
    ),
    Peer(
        "py-data-juicer",
        "words_num_filter 50 to 100,000",
        [("gopher_quality", _WORDS_ONLY)],
        _juicer("words_num_filter", "WordsNumFilter", min_num=50, max_num=100_000),
        "words lie between white space, special characters stripped",
    ),
    Peer(
        "py-data-juicer",
        "word_repetition_filter of 10-grams ≤ 0.1",
        [("gopher_repetition", _TEN_GRAMS_ONLY)],
        _juicer("word_repetition_filter", "WordRepetitionFilter", rep_len=10, max_ratio=0.1),
        "share of n-grams, not of characters, in lower case; every occurrence of a repeated one "
        "counts, also the first",
    ),
)
