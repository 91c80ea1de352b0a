"""The average is of the words, their n-grams and the end of the line, as fastText defines them."""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernels.fasttext.fasttext_average import (
    MAX_WORD_BYTES,
    Floats,
    Inputs,
    Memory,
    average,
    enter_words,
    forget_if_full,
    new_memory,
)
from kernels.text.utf8 import text_buffers

WORDS = ["</s>", "the", "of", "и", "日本", "e\u0301"]
BUCKETS, DIM = 50, 5

words = st.one_of(st.sampled_from([*WORDS, "__label__x", "unknown", "x" * 80]), st.text(max_size=6))
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.lists(words, max_size=8).map(" ".join),
)


def inputs_of(minn: int = 2, maxn: int = 3, ngrams: int = 1, table: bool = False) -> Inputs:
    data = [word.encode() for word in WORDS]
    starts = np.cumsum([0, *map(len, data)]).astype(np.int64)
    joined = np.frombuffer(b"".join(data), dtype=np.uint8)
    slots = np.full(16, -1, dtype=np.int32)
    enter_words(joined, starts, slots)
    random = np.random.default_rng(3)
    rows = np.where(np.arange(BUCKETS) % 3, np.arange(BUCKETS), -1).astype(np.int32)
    return Inputs(
        words=joined,
        starts=starts,
        slots=slots,
        table=rows if table else rows[:0],
        minn=minn,
        maxn=maxn,
        buckets=BUCKETS,
        word_ngrams=ngrams,
        vectors=random.normal(size=(len(WORDS) + BUCKETS, DIM)).astype(np.float32),
    )


def fnv(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        signed = byte - 256 if byte > 127 else byte
        value = (value ^ signed % 2**32) * 16777619 % 2**32
    return value


def rows_of(inputs: Inputs, text: str, stop_at_eos: bool = False) -> list[int]:
    """Rows of the input matrix in the order in which fastText adds them."""

    def bucket(value: int) -> list[int]:
        place = value % BUCKETS
        row = int(inputs.table[place]) if len(inputs.table) else place
        return [len(WORDS) + row] if row >= 0 else []

    rows: list[int] = []
    hashes: list[int] = []
    words = [*filter(None, re.split("[ \n\r\t\v\f\0]", text))]
    if not stop_at_eos:
        words = [word for word in words if word != "</s>"]
    for word in [*words, "</s>"]:
        if word.startswith("__label__"):
            continue
        rows += [WORDS.index(word)] if word in WORDS else []
        value = fnv(word.encode())
        hashes.append(value - 2**32 if value >= 2**31 else value)
        if word == "</s>":
            break
        padded = f"<{word}>"
        for start in range(len(padded)):
            for n in range(max(inputs.minn, 1), inputs.maxn + 1):
                ngram = padded[start : start + n]
                edge = n == 1 and start in (0, len(padded) - 1)
                if len(ngram) == n and not edge:
                    rows += bucket(fnv(ngram.encode()))
    for start in range(len(hashes)):
        value = hashes[start]
        for other in hashes[start + 1 : start + inputs.word_ngrams]:
            value = (value * 116049371 + other) % 2**64
            rows += bucket(value)
    return rows


def average_of(
    inputs: Inputs, memory: Memory, text: str, stop_at_eos: bool = False
) -> tuple[int, Floats]:
    data, offsets = text_buffers(pa.array([text], pa.large_string()))
    total = np.full(DIM, 7, dtype=np.float32)
    count = average(inputs, memory, data, int(offsets[0]), int(offsets[1]), stop_at_eos, total)
    return count, total


@pytest.mark.parametrize(
    ("minn", "maxn", "ngrams", "table"),
    [(2, 3, 1, False), (1, 4, 1, True), (3, 3, 3, False), (0, 0, 2, True), (0, 0, 1, False)],
)
@given(rows=st.lists(texts, max_size=4), stop_at_eos=st.booleans())
def test_the_vectors_are_those_of_a_plain_reading(
    minn: int, maxn: int, ngrams: int, table: bool, rows: list[str], stop_at_eos: bool
) -> None:
    inputs = inputs_of(minn, maxn, ngrams, table)
    memory = new_memory(maxn, words=4)
    for text in [*rows, *rows]:
        expected = rows_of(inputs, text, stop_at_eos)
        count, total = average_of(inputs, memory, text, stop_at_eos)
        assert count == len(expected)
        plain = np.zeros(DIM, dtype=np.float32)
        for row in expected:
            plain += inputs.vectors[row]
        plain *= np.float32(1 / len(expected))
        assert total.tobytes() == plain.tobytes()


def test_a_text_without_anything_known_has_no_average() -> None:
    inputs = inputs_of(0, 0)._replace(starts=np.zeros(1, np.int64), slots=np.full(2, -1, np.int32))
    count, total = average_of(inputs, new_memory(0), "the of")
    assert count == 0
    assert not total.any()


def test_words_are_remembered_once_and_long_ones_never() -> None:
    inputs, memory = inputs_of(), new_memory(3)
    average_of(inputs, memory, "the same the same " + "y" * (MAX_WORD_BYTES + 1))
    assert memory.used[0] == 2
    assert bytes(memory.words[: memory.used[1]]) == b"thesame"


def test_a_memory_that_is_nearly_full_begins_anew() -> None:
    inputs, memory = inputs_of(), new_memory(3, words=8)
    average_of(inputs, memory, "a b c d e f")
    forget_if_full(memory)
    assert memory.used[0] == 6
    average_of(inputs, memory, "g h i j k")
    assert memory.used[0] == 8
    forget_if_full(memory)
    assert memory.used.tolist() == [0, 0, 0]
    assert average_of(inputs, memory, "a")[0] == len(rows_of(inputs, "a"))
