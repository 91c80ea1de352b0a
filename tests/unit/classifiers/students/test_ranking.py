"""Soft labels carry a ranking within a class, which certain ones lose, and students keep it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from classifiers.agreement.agreement_metrics import spearman
from classifiers.sampling import hash_of
from classifiers.students.embeddings import FastTextVectors
from classifiers.students.fasttext_training import Settings
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.training import Recipe, opened, train_student
from classifiers.students.view import Texts

WORDS = FastTextVectors(kind="fasttext", epoch=3, dim=16, bucket=600_000, minn=3, maxn=3)
FINE, POOR = [f"fine{n}" for n in range(9)], [f"poor{n}" for n in range(9)]


def pages(n: int, seed: int) -> tuple[Texts, np.ndarray]:
    """Documents, and the share of their words that are fine: all are more fine than poor."""
    random = np.random.default_rng(seed)
    shares = random.uniform(0.55, 0.95, n)
    rows = [
        " ".join(str(random.choice(FINE if fine else POOR)) for fine in random.random(150) < share)
        for share in shares
    ]
    shares = np.array([row.count("fine") / 150 for row in rows])
    return Texts(pa.array(rows, pa.large_string())), shares


@pytest.mark.parametrize("kind", ["fasttext", "linear", "mlp"])
def test_documents_of_one_class_are_ranked_by_how_sure_their_labels_were(
    tmp_path: Path, kind: str
) -> None:
    texts, shares = pages(200, seed=1)
    unseen, truth = pages(100, seed=2)
    hashes = np.array([hash_of(text.as_py(), 1) for text in texts.raw], dtype=np.uint64)
    soft = SoftLabels(("0", "1"), (0.0, 1.0), np.column_stack([1 - shares, shares]))
    assert set(soft.best.tolist()) == {1}  # certain labels would be all the same
    recipe = Recipe(kind, Settings(), WORDS, hidden=4)  # type: ignore[arg-type]
    card = train_student(recipe, texts, soft, hashes, texts, 1, tmp_path)
    found = opened(card, tmp_path).score(unseen)
    assert spearman(truth, found.astype(np.float64)) > 0.8
    assert np.abs(found - truth).mean() < 0.1
