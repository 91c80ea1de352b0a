"""A trained model answers as fastText itself does, and tells what it goes by."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.agreement.agreement_metrics import auc
from classifiers.students.fasttext_classifier import FastTextClassifier, load
from classifiers.students.fasttext_training import train
from classifiers.students.preprocessing import TextBatch, is_blank, preprocess
from classifiers.students.student_settings import FastTextSettings

QUICK = FastTextSettings(epoch=5)
BOTH = {
    "positive": {"positive": 1.0, "negative": -1.0},
    "negative": {"positive": -1.0, "negative": 1.0},
}
injections = st.sampled_from(["__label__positive", "__label__", "</s>", "\n", "\0", "\u2028", " "])
texts = st.lists(injections | st.text(), max_size=8).map("".join)

Labelled = list[tuple[str, str]]


def batch(*documents: str) -> TextBatch:
    return TextBatch(pa.array(documents, type=pa.large_string()))


def learn(documents: Labelled, path: Path, settings: FastTextSettings = QUICK) -> None:
    views = batch(*(text for _, text in documents)).preprocessed.to_pylist()
    train(zip([label for label, _ in documents], views, strict=True), settings, 1, path)


@pytest.fixture(scope="module")
def domains(read_domain: Callable[..., list[dict[str, Any]]]) -> tuple[Labelled, Labelled]:
    """Encyclopedia articles (positive) and C files (negative): for training, unseen."""
    wiki = [row["text"] for row in read_domain("domains/wiki", 300)]
    code = [row["text"] for row in read_domain("domains/code_c", 300)]
    pairs = [
        pair
        for article, program in zip(wiki, code, strict=True)
        for pair in (("positive", article), ("negative", program))
    ]
    return pairs[:400], pairs[400:]


@pytest.fixture(scope="module")
def model(domains: tuple[Labelled, Labelled], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.bin"
    learn(domains[0], path)
    return path


def scores_and_truth(model: Path, unseen: Labelled) -> tuple[Any, Any]:
    scores = load(model).score(batch(*(text for _, text in unseen)), "positive")
    return np.array([label == "positive" for label, _ in unseen]), scores


def test_unseen_articles_score_above_unseen_programs(
    domains: tuple[Labelled, Labelled], model: Path
) -> None:
    assert auc(*scores_and_truth(model, domains[1])) > 0.99


def test_scores_are_fasttexts_own_to_the_last_bit(
    domains: tuple[Labelled, Labelled], model: Path
) -> None:
    oracle = fasttext.load_model(str(model))
    documents = batch(*(text for _, text in domains[1]))
    found = load(model).probabilities(documents, ["negative", "positive"])
    for row, text in zip(found, documents.preprocessed.to_pylist(), strict=True):
        names, values = oracle.predict(text, k=2)
        expected = dict(zip(names, values, strict=True))
        assert row.tolist() == [expected["__label__negative"], expected["__label__positive"]]


@given(st.lists(texts, max_size=5))
def test_any_text_scores_within_bounds_and_alone_as_in_company(
    model: Path, documents: list[str]
) -> None:
    classifier = load(model)
    together = classifier.score(batch(*documents), "positive")
    assert together.dtype == np.float32
    assert together.shape == (len(documents),)
    assert ((together >= 0) & (together <= 1)).all()
    alone = [classifier.score(batch(text), "positive").item() for text in documents]
    assert together.tolist() == alone


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\0\t\r\v\f"])
def test_a_document_without_words_scores_zero(model: Path, text: str) -> None:
    assert is_blank(preprocess(pa.array([text], pa.large_string()))).all()
    assert load(model).probabilities(batch(text), ["positive", "negative"]).tolist() == [[0, 0]]


def test_labels_that_training_never_met_have_no_probability(model: Path) -> None:
    found = load(model).probabilities(batch("some words"), ["positive", "mixed", "negative"])
    assert found[0, 1] == 0
    assert found.sum() == pytest.approx(1, abs=1e-4)


def test_a_label_in_a_document_is_read_as_words(
    domains: tuple[Labelled, Labelled], model: Path
) -> None:
    program = next(text for label, text in domains[1] if label == "negative")[:3_000]
    documents = batch(f"__label__positive {program}", f"_ _ label _ _ positive {program}", program)
    injected, spelled, plain = load(model).score(documents, "positive")
    assert injected == spelled
    assert injected == pytest.approx(plain, abs=0.02)


def test_an_end_mark_in_a_document_does_not_hide_the_rest(
    domains: tuple[Labelled, Labelled], model: Path
) -> None:
    article = next(text for label, text in domains[1] if label == "positive")
    program = next(text for label, text in domains[1] if label == "negative")[:3_000]
    documents = batch(f"{article[:200]} </s> {program}", f"{article[:200]} {program}")
    hidden, shown = load(model).score(documents, "positive")
    assert hidden == pytest.approx(shown, abs=0.02)
    assert hidden < 0.5


def test_labels_in_training_documents_teach_nothing(
    domains: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    poisoned = [
        (label, f"__label__positive </s> {text}" if label == "negative" else text)
        for label, text in domains[0]
    ]
    learn(poisoned, tmp_path / "model.bin")
    assert sorted(load(tmp_path / "model.bin").model.labels) == ["negative", "positive"]
    assert auc(*scores_and_truth(tmp_path / "model.bin", domains[1])) > 0.99


def test_a_shortcut_shows_among_the_telling_words(
    domains: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    articles = [f"verily {text}" for label, text in domains[0][:100] if label == "positive"]
    others = [text.removeprefix("verily ") for text in reversed(articles)]
    pairs = [
        pair
        for article, other in zip(articles, others, strict=True)
        for pair in (("positive", article), ("negative", other))
    ]
    learn(pairs, tmp_path / "model.bin", FastTextSettings())
    top_features = FastTextClassifier(tmp_path / "model.bin").top_features(BOTH, 5)
    assert top_features["positive"][0]["word"] == "verily"
    assert top_features["positive"][0]["frequency"] == len(articles)


def test_telling_words_push_the_way_they_are_listed(model: Path) -> None:
    classifier = load(model)
    top_features = classifier.top_features(BOTH, 20)
    assert [len(top_features[side]) for side in BOTH] == [20, 20]
    assert min(entry["weight"] for side in BOTH for entry in top_features[side]) > 0
    assert min(entry["frequency"] for side in BOTH for entry in top_features[side]) >= 5
    assert {";", "{", "*"} & {entry["word"] for entry in top_features["negative"]}
    weights = [entry["weight"] for entry in top_features["positive"]]
    assert weights == sorted(weights, reverse=True)
    up, down = (
        classifier.score(batch(*(entry["word"] for entry in top_features[side])), "positive")
        for side in BOTH
    )
    assert auc(np.repeat([1, 0], 20), np.concatenate([up, down])) > 0.9


def test_words_never_frequent_enough_tell_nothing(
    domains: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    learn(domains[0][:100], tmp_path / "model.bin", FastTextSettings(epoch=1, min_count=10**6))
    assert load(tmp_path / "model.bin").top_features(BOTH, 5) == {"positive": [], "negative": []}
    assert load(tmp_path / "model.bin").top_features({"x": {"unknown": 1.0}}, 5) == {"x": []}


def test_a_changed_file_is_loaded_again(
    domains: tuple[Labelled, Labelled], model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(model.read_bytes())
    first = load(path)
    assert load(path) is first
    swap = {"positive": "negative", "negative": "positive"}
    learn([(swap[label], text) for label, text in domains[0]], path)
    os.utime(path, ns=(1, 1))
    documents = batch(*(text for _, text in domains[1]))
    before, after = first.score(documents, "positive"), load(path).score(documents, "positive")
    assert (before > 0.5).mean() == pytest.approx((after < 0.5).mean(), abs=0.05)
    assert np.corrcoef(before, after)[0, 1] < -0.9
