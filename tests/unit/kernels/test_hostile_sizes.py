"""Every kernel ends, in time linear in its text, on large texts of the kinds that break scanners.

Each function runs on a text and on one four times as long; quadratic work would take sixteen times
as long. The longer one is near what a row may have (``max_row_bytes``, 4 MB by default).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from kernels.hashing.hashing import xxh64_rows
from kernels.lines.c4 import LineRules, c4_lines, has_word, long_lines, word_trie
from kernels.lines.line_rules import line_shapes
from kernels.lines.lines import marks, repeated_lines, repeated_paragraphs, text_lengths
from kernels.lines.suspect_lines import SUSPECT, suspect_lines
from kernels.match.aho_corasick import automaton, find_all
from kernels.ngrams.minhash import shingle_hashes
from kernels.ngrams.ngram_bounds import ngram_bounds
from kernels.ngrams.ngrams import Ngrams, count_words
from kernels.ngrams.overlap import OverlapIndex, shingles
from kernels.pii.pii_scan import find
from kernels.text.character_sets import count_characters
from kernels.text.edits import lower
from kernels.text.normalisation import normalise
from kernels.text.spaced_punctuation import space_punctuation
from kernels.text.utf8 import text_buffers
from kernels.words.segmentation import segments
from kernels.words.sentences import count_sentences
from kernels.words.words import split_words

SMALL, LARGE = 500_000, 2_000_000  # bytes of UTF-8
# What linear time may take beyond four times as long: other people's work on the machine, caches.
FACTOR, SECONDS = 10, 0.3

random = np.random.default_rng(3)


def repeated(unit: str) -> Callable[[int], str]:
    return lambda size: unit * (size // len(unit.encode()))


def chinese(size: int) -> str:
    return "".join(map(chr, random.integers(0x4E00, 0x9FA5, size // 3).tolist()))


KINDS: dict[str, Callable[[int], str]] = {
    "one character": repeated("a"),
    "base64": lambda size: base64.b64encode(random.bytes(size * 3 // 4)).decode(),
    "digits": repeated("0123456789"),
    "Chinese": chinese,
    "newlines": repeated("\n"),
    "punctuation": repeated(".,;:!?)("),
    "dots": repeated("."),
    "dots after letters beyond ASCII": repeated("é."),
    "signs of addresses": repeated("a@b.c:"),
    "combining marks": repeated("\u0301"),
    "words": repeated("ab "),
}


def words_and_ngrams(text: pa.LargeStringArray) -> None:
    words = split_words(text)
    rows = np.arange(len(words))
    count_words(words, ["the"])
    ngrams = Ngrams(words)
    for n in (2, 5):
        ngrams.top_characters(n, rows)
        ngrams.repeated_characters(n, rows)
    ngram_bounds(words, [5], rows, give_up=1)
    shingle_hashes(words, 5)


def rule_lines(text: pa.LargeStringArray) -> None:
    rules = LineRules(
        remove_citations=True, terminal=True, min_words=3, max_word_length=1000, watched=15
    )
    c4_lines(text, rules, None).text()
    long_lines(text, 200)
    line_shapes(text, ".!?", 30)
    has_word(text, word_trie(["aa", "b c", "."]), anywhere=False)
    has_word(text, word_trie(["aab", "..;"]), anywhere=True)


def lines(text: pa.LargeStringArray) -> None:
    marks(text)
    repeated_lines(text)
    repeated_paragraphs(text)
    text_lengths(text)
    suspect_lines(text, SUSPECT, breaks=True, beyond_ascii=True)


def characters(text: pa.LargeStringArray) -> None:
    lower(text)
    space_punctuation(text)
    count_characters(text, ["Latin"], ["letters"])
    xxh64_rows(*text_buffers(text))


def overlaps(text: pa.LargeStringArray) -> None:
    found = shingles(text)
    OverlapIndex.build(shingles(pa.array(["a b c d e f"], pa.large_string()))).compare(found)


def matches(text: pa.LargeStringArray) -> None:
    find_all(text, automaton(["aaaa", "aab", ".,;", "\u0301\u0301a"]), whole_words=True)


def personal_data(text: pa.LargeStringArray) -> None:
    find(text).replaced({"email": ["x"]})


FUNCTIONS: list[Callable[[pa.LargeStringArray], Any]] = [
    words_and_ngrams,
    count_sentences,
    segments,
    normalise,
    overlaps,
    characters,
    lines,
    rule_lines,
    matches,
    personal_data,
]


def seconds(function: Callable[[pa.LargeStringArray], Any], text: str) -> float:
    rows = pa.array([text], pa.large_string())
    begin = time.process_time()
    function(rows)
    return time.process_time() - begin


def linear(times: list[tuple[float, float]]) -> bool:
    """By the best time of each length."""
    small, large = (min(of_length) for of_length in zip(*times, strict=True))
    return large <= FACTOR * small + SECONDS


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_large_texts_take_linear_time(function: Callable[[pa.LargeStringArray], Any]) -> None:
    seconds(function, "some text é.")  # compiles
    slow = {}
    for kind, make in KINDS.items():
        times = [(seconds(function, make(SMALL)), seconds(function, make(LARGE)))]
        # Again, for what compiled on the way and for other work on the machine.
        while not linear(times) and len(times) < 3:
            times.append((seconds(function, make(SMALL)), seconds(function, make(LARGE))))
        if not linear(times):
            slow[kind] = times
    assert not slow
