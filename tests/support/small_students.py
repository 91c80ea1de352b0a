"""Students trained in a second, on pages that say themselves whether they are good."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from classifiers.sampling.hash_sampling import hash_of
from classifiers.students.preprocessing import TextBatch
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student_files import write_card
from classifiers.students.student_settings import FastTextSettings, FastTextVectors
from classifiers.students.student_training import Recipe, train_student

WORDS = FastTextVectors(kind="fasttext", epoch=1, dim=16, bucket=600_000, minn=3, maxn=3)
PAGES = [f"the {'good' if n % 2 else 'bad'} page number {n} of many " * 5 for n in range(80)]
GOOD = np.array([[0.1, 0.9] if n % 2 else [0.9, 0.1] for n in range(len(PAGES))])
GRADES = SoftLabels(("0", "1"), (0.0, 1.0), GOOD)
TOPICS = SoftLabels(("bad", "good"), None, GOOD)


def make_student(folder: Path, kind: Literal["fasttext", "linear"], labels: SoftLabels) -> Path:
    """A student of ``PAGES`` with these labels, in ``folder``, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = TextBatch(pa.array(PAGES, pa.large_string()))
    hashes = np.array([hash_of(page, 1) for page in PAGES], dtype=np.uint64)
    card = train_student(
        Recipe(kind, FastTextSettings(), WORDS), texts, labels, hashes, texts, 1, folder
    )
    write_card(folder / "card.json", card)
    return folder
