from .c4 import (
    COUNTS,
    CURLY_BRACKET,
    JAVASCRIPT,
    LOREM_IPSUM,
    POLICY,
    C4Lines,
    LineRules,
    WordTrie,
    c4_lines,
    has_word,
    long_lines,
    word_trie,
)
from .line_rules import EditedLines, EditRules, LineShapes, edit_lines, line_shapes
from .lines import Marks, marks, repeated_lines, repeated_paragraphs, text_lengths
from .suspect_lines import PLAIN, SUSPECT, SUSPECT_BEFORE_MARKUP, Lines, suspect_lines

VERSION: int

__all__ = [
    "COUNTS",
    "CURLY_BRACKET",
    "JAVASCRIPT",
    "LOREM_IPSUM",
    "PLAIN",
    "POLICY",
    "SUSPECT",
    "SUSPECT_BEFORE_MARKUP",
    "VERSION",
    "C4Lines",
    "EditRules",
    "EditedLines",
    "LineRules",
    "LineShapes",
    "Lines",
    "Marks",
    "WordTrie",
    "c4_lines",
    "edit_lines",
    "has_word",
    "line_shapes",
    "long_lines",
    "marks",
    "repeated_lines",
    "repeated_paragraphs",
    "suspect_lines",
    "text_lengths",
    "word_trie",
]
