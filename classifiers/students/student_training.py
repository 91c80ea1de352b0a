"""Training a student of any kind into a folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from typing import Any

from classifiers.sampling.hash_sampling import Hashes
from classifiers.students.embeddings import Embedder, open_embedder, train_vectors
from classifiers.students.fasttext_student import train_fasttext
from classifiers.students.fasttext_training import library
from classifiers.students.preprocessing import TextBatch
from classifiers.students.soft_labels import SoftLabels
from classifiers.students.student_files import CARD, HEAD_MODEL, WORD_VECTORS
from classifiers.students.student_settings import (
    Embedding,
    FastTextSettings,
    FastTextVectors,
    Kind,
)
from winnow import sha256_file


@dataclass(frozen=True)
class Recipe:
    """Which student is trained, and how."""

    student: Kind = "fasttext"
    fasttext: FastTextSettings = field(default_factory=FastTextSettings)
    embedding: Embedding = field(default_factory=lambda: FastTextVectors(kind="fasttext"))
    hidden: int = 32


def train_student(
    recipe: Recipe,
    texts: TextBatch,
    soft: SoftLabels,
    hashes: Hashes,
    corpus: TextBatch,
    seed: int,
    folder: Path,
    base: Path = Path(),
    vectors: Path | None = None,
) -> dict[str, Any]:
    """Train on ``texts`` with labels ``soft`` and write the model's files into ``folder``.

    ``hashes`` [n] are the documents' own; ``corpus`` are documents to learn word vectors from, in
    the order given, unless ``vectors`` is the file of those that came of it before; folders of
    encoders are looked for from ``base``. Returns what opens the student: the card's part that
    ``Card`` describes, and its settings.
    """
    card: dict[str, Any] = {
        "student": recipe.student,
        "labels": list(soft.labels),
        "values": None if soft.values is None else list(soft.values),
    }
    if recipe.student == "fasttext":
        card |= {"library": library()}
        card |= train_fasttext(texts, soft, hashes, recipe.fasttext, seed, folder)
    else:
        # Imported for heads alone: scikit-learn takes a second.
        from classifiers.students.head_training import train_head

        embedding, embedder = _embedder(recipe.embedding, corpus, folder, base, vectors)
        fitted = train_head(embedder.vectors(texts), soft, recipe.student, recipe.hidden, seed)
        kind = {"student": recipe.student, "embedding": embedding}
        fitted.head.save(folder / HEAD_MODEL, {**card, **kind})
        hidden = {"hidden": recipe.hidden} if recipe.student == "mlp" else {}
        card |= {"embedding": embedding, "settings": {**hidden, "penalty": fitted.penalty}}
    names = sorted(path.name for path in folder.iterdir() if path.name != CARD)
    return {**card, "files": {name: sha256_file(folder / name) for name in names}}


def _embedder(
    embedding: Embedding, corpus: TextBatch, folder: Path, base: Path, vectors: Path | None
) -> tuple[dict[str, Any], Embedder]:
    """What the card says of the embedding, and the embedder itself."""
    if isinstance(embedding, FastTextVectors):
        if vectors is None:
            train_vectors(corpus, embedding, folder / WORD_VECTORS)
        else:
            copyfile(vectors, folder / WORD_VECTORS)
        sha256 = sha256_file(folder / WORD_VECTORS)
        described = {**embedding.model_dump(), "library": library(), "sha256": sha256}
    else:
        from classifiers.students.sentence_embedder import describe

        described = describe(embedding, base)
    return described, open_embedder(described, folder, base)
