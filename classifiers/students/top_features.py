"""The words that weigh most in a student's scores, whatever its kind."""

from __future__ import annotations

from collections import Counter

import numpy as np

from classifiers.students.fasttext_classifier import Entry
from classifiers.students.fasttext_student import FastTextStudent
from classifiers.students.head_student import HeadStudent
from classifiers.students.preprocessing import TextBatch
from classifiers.students.student import Student

WORDS = 20
# Of heads, on this many documents at most, and of their most frequent words.
DOCUMENTS, VOCABULARY = 2_000, 10_000


def top_features(
    student: Student, learned: TextBatch, count: int = WORDS
) -> dict[str, list[Entry]]:
    """The ``count`` words of largest weight by direction, with weights and frequencies.

    ``learned`` are documents that the student was trained on.
    """
    if isinstance(student, FastTextStudent):
        return student.top_features(count)
    assert isinstance(student, HeadStudent)
    some = learned.take(np.arange(min(len(learned), DOCUMENTS)))
    counts = Counter(word for seen in some.preprocessed.to_pylist() for word in seen.split())
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:VOCABULARY]
    words = [word for word, _ in ranked]
    frequencies = np.array([frequency for _, frequency in ranked], dtype=np.int64)
    return student.top_features(count, student.embedder.vectors(some), words, frequencies)
