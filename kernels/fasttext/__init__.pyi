from .fasttext_file import (
    FastTextModel,
    ModelError,
    read_labels,
    read_model,
    read_vectors,
    read_words,
)
from .word_vectors import WordVectors

VERSION: int

__all__ = [
    "VERSION",
    "FastTextModel",
    "ModelError",
    "WordVectors",
    "read_labels",
    "read_model",
    "read_vectors",
    "read_words",
]
