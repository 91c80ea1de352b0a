"""How documents become vectors for heads: by word vectors of the corpus, or a neural encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, model_validator

from classifiers.students.fasttext_training import Sizes, run
from classifiers.students.view import Texts
from kernels.fasttext.fasttext_file import read_vectors

Floats = npt.NDArray[np.float32]
VECTORS = "vectors.bin"


class FastTextVectors(Sizes):
    """Word vectors of fastText, learned from documents of the corpus, labelled or not.

    A document is the mean of its words' vectors, each brought to length 1, and the logarithm of
    the number of its words, which a mean forgets. Words are not weighted by how rare they are:
    whether a page is prose or a list shows in the frequent ones (docs/students.md).
    """

    kind: Literal["fasttext"] = Field(description="word vectors by fastText")
    documents: int = Field(default=10_000, ge=1, description="documents to learn vectors from")
    dim: int = Field(default=64, ge=1, le=512, description="length of a vector")
    epoch: int = Field(default=10, ge=1, le=1_000, description="passes over the documents")
    lr: float = Field(default=0.05, gt=0, le=10, description="learning rate at the start")
    min_count: int = Field(default=2, ge=1, description="rarer words have no vector of their own")
    minn: int = Field(default=3, ge=1, le=20, description="shortest character n-gram of a word")
    maxn: int = Field(default=6, ge=1, le=20, description="longest character n-gram of a word")
    bucket: int = Field(
        default=150_000, ge=1, le=50_000_000, description="vectors that n-grams are hashed into"
    )

    @model_validator(mode="after")
    def _shortest_first(self) -> FastTextVectors:
        if self.minn > self.maxn:
            raise ValueError(f"minn {self.minn} is more than maxn {self.maxn}")
        return self


class SentenceTransformer(BaseModel):
    """A frozen encoder of the library sentence-transformers (``pip install winnow[embeddings]``).

    It runs on a GPU if there is one, else on all cores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sentence-transformers"] = Field(description="a neural encoder")
    model: str = Field(
        min_length=1, description="a folder, from the manifest's, or the name of a model of the hub"
    )
    revision: str | None = Field(
        default=None, description="commit of the hub's model; a folder needs none"
    )
    prompt: str = Field(default="", description="put before each document, as the model wants it")
    batch: int = Field(default=32, ge=1, description="documents encoded at once")


Embedding = FastTextVectors | SentenceTransformer


class Embedder(Protocol):
    """Turns documents into vectors of one length."""

    def vectors(self, texts: Texts) -> Floats:
        """[rows, dim]; zero for a document without any word."""

    def word_vectors(self, words: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The vectors [words, dim] of words alone, and which of their columns [dim] say anything
        of a word (the number of words of a document does not)."""


class WordEmbedder:
    """``FastTextVectors``, trained."""

    def __init__(self, path: Path) -> None:
        self.model = read_vectors(path)

    def vectors(self, texts: Texts) -> Floats:
        means, words = self.model.means(texts.seen)
        return np.column_stack([means, np.log1p(words).astype(np.float32)])

    def word_vectors(self, words: Sequence[str]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        means, _ = self.model.means(pa.array(words, pa.large_string()))
        says = np.ones(self.model.dim + 1, dtype=np.bool_)
        says[-1] = False
        return np.column_stack([means, np.zeros(len(words), np.float32)]), says


def train_vectors(texts: Texts, settings: FastTextVectors, path: Path) -> None:
    """Skip-gram vectors (Bojanowski et al. 2017, arXiv 1607.04606) from documents in the order
    given, written to ``path``. fastText takes no seed for them: equal documents, equal bytes."""
    options = {
        "model": "skipgram",
        "dim": settings.dim,
        "epoch": settings.epoch,
        "lr": settings.lr,
        "minCount": settings.min_count,
        "minn": settings.minn,
        "maxn": settings.maxn,
        "bucket": settings.bucket,
    }
    run(options, texts.seen.to_pylist(), path)


def open_embedder(embedding: Mapping[str, Any], folder: Path, base: Path) -> Embedder:
    """The embedder that a card names: its vectors in the student's ``folder``, or an encoder, a
    folder of which is looked for from ``base``. Raises ShardError where it has changed."""
    if embedding["kind"] == "fasttext":
        return WordEmbedder(folder / VECTORS)
    # Imported only when asked for: it takes seconds, and is an extra of the installation.
    from classifiers.students.sentence_embedder import SentenceEmbedder

    return SentenceEmbedder(embedding, base)
