"""Documents as means of word vectors of their own corpus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from classifiers.students.embeddings import WordEmbedder, train_vectors
from classifiers.students.preprocessing import TextBatch
from classifiers.students.student_settings import FastTextVectors, SentenceTransformer
from kernels.fasttext.fasttext_file import read_vectors

QUICK = FastTextVectors(kind="fasttext", epoch=1, dim=16, bucket=600_000, minn=3, maxn=3)


def batch(*documents: str) -> TextBatch:
    return TextBatch(pa.array(documents, pa.large_string()))


@pytest.fixture(scope="module")
def path(graded: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vectors") / "vectors.bin"
    train_vectors(graded.texts, QUICK, path)
    return path


def test_equal_documents_give_equal_vectors(graded: Any, path: Path, tmp_path: Path) -> None:
    train_vectors(graded.texts, QUICK, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_a_document_is_the_mean_of_its_words_and_their_number(path: Path) -> None:
    embedder = WordEmbedder(path)
    the, of, both, twice = embedder.vectors(batch("The", "of", "the\nOF", "the of the of"))
    assert the.shape == (17,)
    np.testing.assert_allclose(np.linalg.norm(the[:16]), 1, atol=1e-5)
    np.testing.assert_allclose(both[:16], (the + of)[:16] / 2, atol=1e-6)
    np.testing.assert_allclose(twice[:16], both[:16], atol=1e-6)
    np.testing.assert_allclose([the[16], both[16], twice[16]], np.log([2, 3, 5]), rtol=1e-6)
    assert not embedder.vectors(batch("", "\n")).any()


def test_of_a_word_alone_its_number_says_nothing(path: Path) -> None:
    vectors, says = WordEmbedder(path).word_vectors(["the", "of"])
    assert says.tolist() == [True] * 16 + [False]
    assert vectors.shape == (2, 17)
    assert not vectors[:, 16].any()


def test_words_that_training_never_met_have_vectors_of_their_parts(path: Path) -> None:
    embedder = WordEmbedder(path)
    assert "unreadableness" not in read_vectors(path).words
    found = embedder.vectors(batch("unreadableness"))[0]
    assert np.linalg.norm(found[:16]) == pytest.approx(1, abs=1e-5)


def test_documents_of_one_kind_lie_together(graded: Any, path: Path) -> None:
    vectors = WordEmbedder(path).vectors(graded.texts)[:, :16]
    centred = vectors - vectors.mean(0)
    kind = graded.grades.best
    near = [
        np.bincount(kind[np.argsort(-(centred @ row))[1:11]], minlength=3)[own]
        for row, own in zip(centred, kind, strict=True)
    ]
    assert np.mean(near) > 6  # 3.3 by chance


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minn": 5, "maxn": 4}, "minn 5 is more than maxn 4"),
        ({"dim": 16, "bucket": 100_000}, "repeatably"),
        ({"minn": 0}, "greater than or equal to 1"),
        ({"words": 3}, "Extra inputs"),
    ],
)
def test_settings_that_do_not_work_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        FastTextVectors(kind="fasttext", **settings)


def test_encoders_are_named() -> None:
    with pytest.raises(ValidationError):
        SentenceTransformer(kind="sentence-transformers", model="")
