"""Pages with grades made up from what they are, and students trained on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from classifiers.sampling.hash_sampling import Hashes, hash_of
from classifiers.students.preprocessing import TextBatch
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student_files import write_card
from classifiers.students.student_settings import FastTextSettings, FastTextVectors
from classifiers.students.student_training import Recipe, train_student

QUICK = FastTextVectors(kind="fasttext", epoch=1, dim=16, bucket=600_000, minn=3, maxn=3)


@dataclass(frozen=True)
class Graded:
    """Documents with soft grades, and with soft categories."""

    texts: TextBatch
    hashes: Hashes
    grades: SoftLabels
    topics: SoftLabels

    def rows(self, start: int, step: int = 2) -> tuple[TextBatch, SoftLabels, SoftLabels, Hashes]:
        """Every second document from ``start``."""
        rows = np.arange(start, len(self.texts), step)
        return (
            self.texts.take(rows),
            self.grades.take(rows),
            self.topics.take(rows),
            self.hashes[rows],
        )


@pytest.fixture(scope="session")
def graded(read_domain: Callable[..., list[dict[str, Any]]]) -> Graded:
    """120 pages each of C (grade about 0), dialogue (about 1) and Wikipedia (about 2)."""
    domains = ("code_c", "dialog", "wiki")
    pages = [
        (row["text"][:3_000], number)
        for rows in zip(*(read_domain(f"domains/{name}", 120) for name in domains), strict=True)
        for number, row in enumerate(rows)
    ]
    p = np.full((len(pages), 3), 0.1)
    p[np.arange(len(pages)), [number for _, number in pages]] = 0.8
    texts = [text for text, _ in pages]
    return Graded(
        TextBatch(pa.array(texts, pa.large_string())),
        np.array([hash_of(text, 1) for text in texts], dtype=np.uint64),
        SoftLabels(("0", "1", "2"), (0.0, 1.0, 2.0), p),
        SoftLabels(("code", "talk", "an article"), None, p),
    )


@pytest.fixture(scope="session")
def folders(graded: Graded, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Students by kind and target (``linear grades``), trained on the even documents."""
    texts, grades, topics, hashes = graded.rows(0)
    found: dict[str, Path] = {}
    vectors: Path | None = None
    for kind in ("fasttext", "linear", "mlp"):
        for target, soft in (("grades", grades), ("topics", topics)):
            folder = tmp_path_factory.mktemp(f"{kind}-{target}")
            recipe = Recipe(kind, FastTextSettings(), QUICK, hidden=8)  # type: ignore[arg-type]
            card = train_student(recipe, texts, soft, hashes, texts, 1, folder, vectors=vectors)
            vectors = vectors or next(folder.glob("vectors.bin"), None)
            write_card(folder / "card.json", card)
            found[f"{kind} {target}"] = folder
    return found
