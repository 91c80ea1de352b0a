"""Heads in numpy: what they compute, that rows do not matter to each other, and their files."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from sklearn.linear_model import LogisticRegression

from classifiers.students.head_training import train_head
from classifiers.students.heads import Head, load_head
from classifiers.students.soft_labels import SoftLabels
from pipeline.errors import ShardError

RANDOM = np.random.default_rng(3)


def head(hidden: int | None = 5, softmax: bool = False, dim: int = 4, labels: int = 3) -> Head:
    sizes = [dim, labels] if hidden is None else [dim, hidden, labels]
    pairs = list(pairwise(sizes))
    return Head(
        mean=RANDOM.normal(size=dim).astype(np.float32),
        scale=RANDOM.uniform(0.5, 2, size=dim).astype(np.float32),
        weights=tuple(RANDOM.normal(size=pair).astype(np.float32) for pair in pairs),
        biases=tuple(RANDOM.normal(size=n).astype(np.float32) for _, n in pairs),
        softmax=softmax,
    )


def problem(
    kind: str, n: int = 400, categories: bool = False
) -> tuple[np.ndarray, SoftLabels, np.ndarray]:
    """Features, soft labels of three grades, and what they come from."""
    random = np.random.default_rng(5)
    x = random.normal(size=(n, 6)) * [1, 50, 1, 1, 1, 0] + 7
    hidden = np.abs(x[:, 0] - 7) if kind == "mlp" else x[:, 0] - 7 + (x[:, 1] - 7) / 50
    logits = np.outer(hidden, [-1.0, 0.0, 1.0]) + np.array([0.0, 0.5, 0.0])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    values = None if categories else (0.0, 1.0, 2.0)
    return x, SoftLabels(("0", "1", "2"), values, p), hidden


@pytest.mark.parametrize("hidden", [None, 5])
@pytest.mark.parametrize("softmax", [False, True])
def test_outputs_are_those_of_plain_products(hidden: int | None, softmax: bool) -> None:
    made, x = head(hidden, softmax), RANDOM.normal(size=(50, 4)).astype(np.float32)
    values = (x.astype(np.float64) - made.mean) * made.scale
    values = values @ made.weights[0] + made.biases[0]
    if hidden:
        values = np.maximum(values, 0) @ made.weights[1] + made.biases[1]
    if softmax:
        values = np.exp(values) / np.exp(values).sum(1, keepdims=True)
    np.testing.assert_allclose(made.outputs(x), values, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 40), st.integers(0, 39))
def test_a_row_has_the_same_bits_in_any_company(rows: int, at: int) -> None:
    made, x = head(7, softmax=True, dim=65), RANDOM.normal(size=(40, 65)).astype(np.float32)
    whole = made.outputs(x)
    part = x[at : at + rows]
    assert made.outputs(part).tobytes() == whole[at : at + rows].tobytes()
    assert made.outputs(x[:0]).shape == (0, 3)


def test_slopes_are_the_mean_change_with_each_feature() -> None:
    made, x = head(9), RANDOM.normal(size=(300, 4))
    for feature in range(4):
        step = np.zeros(4)
        step[feature] = 1e-2
        change = (made.outputs(x + step) - made.outputs(x - step)).mean(0) / 2e-2
        np.testing.assert_allclose(made.slopes(x)[feature], change, atol=0.05)


def test_files_hold_the_head_and_nothing_executable(tmp_path: Path) -> None:
    made = head(5, softmax=True)
    for name in ("one", "two"):
        made.save(tmp_path / name, {"b": 1, "a": [2]})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    found, x = load_head(tmp_path / "one"), RANDOM.normal(size=(5, 4))
    assert found.softmax
    assert found.outputs(x).tobytes() == made.outputs(x).tobytes()
    made.save(tmp_path / "two", {"b": 2})
    assert (tmp_path / "one").read_bytes() != (tmp_path / "two").read_bytes()


def test_files_that_are_no_head_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "head"
    made = head(5)
    broken = Head(made.mean[:3], made.scale, made.weights, made.biases, softmax=False)
    broken.save(path, {})
    with pytest.raises(ShardError, match="do not fit together"):
        load_head(path)
    save_file({"mean": made.mean}, path)
    with pytest.raises(ShardError, match="no head"):
        load_head(path)
    made.save(path, {})
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ShardError, match="no head"):
        load_head(path)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("categories", [False, True])
def test_soft_labels_are_learned(kind: str, categories: bool) -> None:
    x, soft, hidden = problem(kind, categories=categories)
    fitted = train_head(x[:300], soft.take(np.arange(300)), kind, hidden=8, seed=1)
    found = fitted.head.outputs(x[300:])
    assert fitted.head.softmax == categories
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    error = np.abs(found - soft.p[300:]).mean()
    assert error < np.abs(soft.p[:300].mean(0) - soft.p[300:]).mean() / 2
    assert np.corrcoef(found @ [0, 1, 2], hidden[300:])[0, 1] > 0.9


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("categories", [False, True])
def test_training_again_gives_the_same_bits(kind: str, categories: bool, tmp_path: Path) -> None:
    x, soft, _ = problem(kind, 120, categories)
    for name in ("one", "two"):
        train_head(x, soft, kind, hidden=8, seed=1).head.save(tmp_path / name, {})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_noise_is_answered_with_a_larger_penalty() -> None:
    x, soft, _ = problem("linear", 80)
    shuffled = soft.take(np.random.default_rng(1).permutation(80))
    sure, unsure = (train_head(x, labels, "linear", 8, 1) for labels in (soft, shuffled))
    assert unsure.penalty > 10 * sure.penalty


def test_soft_labels_are_learned_as_their_replicas_would_be() -> None:
    x, soft, _ = problem("linear", categories=True)
    fitted = train_head(x, soft, "linear", 8, 1)
    row, label = np.divmod(np.arange(3 * len(x)), 3)
    standard = (x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1)
    model = LogisticRegression(C=1 / fitted.penalty, max_iter=500)
    model.fit(standard[row], label, sample_weight=soft.p.reshape(-1))
    expected = model.predict_proba(standard)
    np.testing.assert_allclose(fitted.head.outputs(x), expected, atol=0.02)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_labels_that_training_never_met_are_never_likely(kind: str) -> None:
    x, _, _ = problem("linear", 60)
    p = np.zeros((60, 4))
    p[:, 1], p[:, 3] = x[:, 0] > 7, x[:, 0] <= 7
    p[0] = [0, 1, 0, 0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = train_head(x, SoftLabels(("a", "b", "c", "d"), None, p), kind, 8, 1)
    found = fitted.head.outputs(x)
    assert found[:, [0, 2]].max() < 1e-3
    assert (found.argmax(1) == p.argmax(1)).mean() > 0.9


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_a_category_of_a_single_document_breaks_no_fold(kind: str) -> None:
    x, _, _ = problem("linear", 60)
    p = np.zeros((60, 2))
    p[:, 0], p[7] = 1, [0, 1]
    found = train_head(x, SoftLabels(("many", "one"), None, p), kind, 8, 1).head.outputs(x)
    assert np.isfinite(found).all()
    assert found[:, 0].mean() > 0.8
