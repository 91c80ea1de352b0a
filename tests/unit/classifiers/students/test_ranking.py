"""Soft labels carry a ranking within a class, which certain ones lose, and students keep it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from classifiers.agreement.agreement_metrics import spearman
from classifiers.sampling.hash_sampling import hash_of
from classifiers.students.preprocessing import TextBatch
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student_loading import opened
from classifiers.students.student_settings import FastTextSettings, FastTextVectors
from classifiers.students.student_training import Recipe, train_student

WORDS = FastTextVectors(kind="fasttext", epoch=3, dim=16, bucket=600_000, minn=3, maxn=3)
FINE, POOR = [f"fine{n}" for n in range(9)], [f"poor{n}" for n in range(9)]


def pages(n: int, seed: int) -> tuple[TextBatch, np.ndarray]:
    """Documents, and the share of their words that are fine: all are more fine than poor."""
    random = np.random.default_rng(seed)
    shares = random.uniform(0.55, 0.95, n)
    rows = [
        " ".join(str(random.choice(FINE if fine else POOR)) for fine in random.random(150) < share)
        for share in shares
    ]
    shares = np.array([row.count("fine") / 150 for row in rows])
    return TextBatch(pa.array(rows, pa.large_string())), shares


@pytest.mark.parametrize("kind", ["fasttext", "linear", "mlp"])
def test_documents_of_one_class_are_ranked_by_how_sure_their_labels_were(
    tmp_path: Path, kind: str
) -> None:
    texts, shares = pages(200, seed=1)
    unseen, truth = pages(100, seed=2)
    hashes = np.array([hash_of(text.as_py(), 1) for text in texts.raw], dtype=np.uint64)
    soft = SoftLabels(("0", "1"), (0.0, 1.0), np.column_stack([1 - shares, shares]))
    assert set(soft.best.tolist()) == {1}  # certain labels would be all the same
    recipe = Recipe(kind, FastTextSettings(), WORDS, hidden=4)  # type: ignore[arg-type]
    card = train_student(recipe, texts, soft, hashes, texts, 1, tmp_path)
    found = opened(card, tmp_path).score(unseen)
    assert spearman(truth, found.astype(np.float64)) > 0.8
    assert np.abs(found - truth).mean() < 0.1
