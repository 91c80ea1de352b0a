"""Documents as means of words' vectors, beside fastText's own vectors of sentences."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.students.fasttext_training import run as train
from kernels.fasttext.fasttext_file import ModelError, read_model, read_vectors
from kernels.fasttext.word_vectors import WordVectors, new_memory

Pair = tuple[WordVectors, Any]
pieces = st.sampled_from(["the", "of", "und", "日本語", "ordinary", "x" * 90, "\t", " ", "</x>"])
characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(characters, max_size=40) | st.lists(pieces, max_size=12).map(" ".join)

DIM = 16
KINDS = {
    "skip-gram": {"model": "skipgram", "minn": 3, "maxn": 5},
    "cbow": {"model": "cbow", "minn": 1, "maxn": 2},
    "words alone": {"model": "skipgram", "minn": 0, "maxn": 0, "wordNgrams": 2},
}


def large(rows: list[str]) -> pa.LargeStringArray:
    return pa.array(rows, pa.large_string())


@pytest.fixture(scope="module")
def models(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """By kind, the same model read by us and by fastText."""
    folder = tmp_path_factory.mktemp("vectors")
    with pa.CompressedInputStream(str(shared_data / "truth/languages.jsonl.zst"), "zstd") as file:
        text = file.read()[:300_000].decode(errors="ignore")
    found: dict[str, Pair] = {}
    for kind, options in KINDS.items():
        path = folder / kind
        # Smaller matrices, and those of a process that has worked before, begin with whatever is
        # in memory, NaN for one.
        options = {"dim": DIM, "bucket": 600_000, "epoch": 2, "minCount": 3, **options}
        train(options, text.split("\n"), path)
        found[kind] = (read_vectors(path), fasttext.load_model(str(path)))
    return found


@pytest.mark.parametrize("kind", KINDS)
@given(rows=st.lists(texts, max_size=4))
def test_a_document_has_the_vector_that_fasttext_gives_a_sentence(
    models: dict[str, Pair], kind: str, rows: list[str]
) -> None:
    ours, theirs = models[kind]
    lines = [" ".join(row.split()) for row in rows]
    expected = [theirs.get_sentence_vector(line) for line in lines]
    for _ in range(2):  # The second time all words are known.
        found, number = ours.means(large(lines))
        assert number.tolist() == [len(line.split()) for line in lines]
        np.testing.assert_allclose(found, np.reshape(expected, found.shape), atol=1e-5)


def test_the_vector_of_a_word_has_length_one(models: dict[str, Pair]) -> None:
    for ours, theirs in models.values():
        assert ours.dim == DIM
        word = ours.words[5]
        (found,), _ = ours.means(large([word]))
        plain = theirs.get_word_vector(word)
        np.testing.assert_allclose(found, plain / np.linalg.norm(plain), atol=1e-5)


def test_words_and_frequencies_are_those_of_training(models: dict[str, Pair]) -> None:
    for ours, theirs in models.values():
        words, frequencies = theirs.get_words(include_freq=True)
        assert list(ours.words) == words
        assert ours.frequencies.tolist() == frequencies.tolist()


@given(rows=st.lists(texts, min_size=1, max_size=6))
def test_rows_memory_and_company_change_no_bit(models: dict[str, Pair], rows: list[str]) -> None:
    ours, _ = models["skip-gram"]
    alone = [ours.means(large([row]))[0].tobytes() for row in rows]
    fresh = replace(ours, memory=new_memory(ours.dim, words=2))
    for model in (ours, fresh, fresh):
        assert [row.tobytes() for row in model.means(large(rows))[0]] == alone


def test_a_full_memory_begins_anew(models: dict[str, Pair]) -> None:
    ours = replace(models["cbow"][0], memory=new_memory(DIM, words=8))
    ours.means(large([" ".join(f"word{i}" for i in range(20))]))
    assert ours.memory.used[0] == 8
    ours.means(large(["some more words"]))
    assert ours.memory.used[0] == 3


def test_a_text_without_words_is_at_the_origin(models: dict[str, Pair]) -> None:
    found, number = models["words alone"][0].means(large(["", " \n", "neverseenword"]))
    assert not found.any()
    assert number.tolist() == [0, 0, 1]


def test_the_other_kind_of_model_is_refused(models: dict[str, Pair], tmp_path: Path) -> None:
    models["cbow"][1].save_model(str(tmp_path / "words"))
    with pytest.raises(ModelError, match="no classifier"):
        read_model(tmp_path / "words")
    lines = ["__label__a one", "__label__b two"] * 9
    train({"dim": 16, "wordNgrams": 2, "bucket": 600_000}, lines, tmp_path / "classes")
    with pytest.raises(ModelError, match="no model of words"):
        read_vectors(tmp_path / "classes")


def test_a_file_cut_anywhere_is_refused(models: dict[str, Pair], tmp_path: Path) -> None:
    models["cbow"][1].save_model(str(tmp_path / "whole"))
    whole = (tmp_path / "whole").read_bytes()
    needed = len(whole) - 4 * DIM * len(models["cbow"][0].words) - 17  # without the output matrix
    for end in (*range(0, 400, 11), needed // 2, needed - 1):
        (tmp_path / "cut").write_bytes(whole[:end])
        with pytest.raises(ModelError):
            read_vectors(tmp_path / "cut")
