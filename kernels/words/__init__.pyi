from .languages import LanguageUnavailable, sentence_code, tokenizer_of
from .segmentation import Segments, segments
from .sentences import count_sentences
from .vocabulary import Vocabulary
from .whole_texts import whole_texts
from .words import Words, english_words, least_words, split_words, words_of

VERSION: int

__all__ = [
    "VERSION",
    "LanguageUnavailable",
    "Segments",
    "Vocabulary",
    "Words",
    "count_sentences",
    "english_words",
    "least_words",
    "segments",
    "sentence_code",
    "split_words",
    "tokenizer_of",
    "whole_texts",
    "words_of",
]
