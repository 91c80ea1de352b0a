from .character_classes import CLASSES, is_script
from .character_sets import character_table, count_characters
from .edits import lower
from .normalisation import normalise
from .spaced_punctuation import space_punctuation
from .unspaced import separate_unspaced
from .utf8 import Bytes, Offsets, text_buffers

VERSION: int

__all__ = [
    "CLASSES",
    "VERSION",
    "Bytes",
    "Offsets",
    "character_table",
    "count_characters",
    "is_script",
    "lower",
    "normalise",
    "separate_unspaced",
    "space_punctuation",
    "text_buffers",
]
