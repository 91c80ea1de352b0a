from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import pre_tokenizers

from kernels.words.segmentation import segments

ODD = st.text(alphabet=" \t\n\r\x0b\x1c\u00a0\u2003\u3000ab.'é水👩1", max_size=40)
TEXTS = st.lists(st.one_of(st.text(max_size=40), ODD), max_size=6)


def strings(texts: list[str]) -> pa.LargeStringArray:
    encoded = [text.encode("utf-8", "ignore").decode() for text in texts]
    return pa.array(encoded, pa.large_string())


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_segments_in_order_are_the_text(texts: list[str]) -> None:
    array = strings(texts)
    found = segments(array)
    for row, text in enumerate(array.to_pylist()):
        kinds = found.kind[found.starts[row] : found.starts[row + 1]]
        assert "".join(found.texts[kind] for kind in kinds) == text
    assert len(set(found.texts)) == len(found.texts)


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_byte_level_words_of_a_text_are_those_of_its_segments(texts: list[str]) -> None:
    cutter = pre_tokenizers.ByteLevel(add_prefix_space=False)
    array = strings(texts)
    found = segments(array)
    for row, text in enumerate(array.to_pylist()):
        kinds = found.kind[found.starts[row] : found.starts[row + 1]]
        pieces = [word for k in kinds for word, _ in cutter.pre_tokenize_str(found.texts[k])]
        assert pieces == [word for word, _ in cutter.pre_tokenize_str(text)]


def test_words_that_repeat_are_one_kind() -> None:
    found = segments(strings(["the cat the dog\nthe cat", " the end"]))
    assert sorted(found.texts) == ["\nthe", " cat", " dog", " end", " the", "the"]
    assert np.diff(found.starts).tolist() == [6, 2]


def test_replace_gives_each_row_the_ids_of_its_segments() -> None:
    found = segments(strings(["a b a", "", " b"]))
    ids = {"a": [1], " b": [2, 3], " a": []}
    bounds = np.cumsum([0, *(len(ids[text]) for text in found.texts)])
    flat = np.array([i for text in found.texts for i in ids[text]], np.uint16)
    out, starts = found.replace(flat, bounds)
    assert out.tolist() == [1, 2, 3, 2, 3]
    assert starts.tolist() == [0, 3, 3, 5]


def test_rows_of_a_slice_are_its_own() -> None:
    found = segments(strings(["left out", "kept here", "left out too"]).slice(1, 1))
    assert sorted(found.texts) == [" here", "kept"]
