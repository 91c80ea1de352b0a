from .aho_corasick import Automaton, automaton, automaton_bytes, find_all
from .urls import (
    Bools,
    Counts,
    Lines,
    Trie,
    contain_any,
    count_words,
    enter_lines,
    find_texts,
    make_trie,
)

VERSION: int

__all__ = [
    "VERSION",
    "Automaton",
    "Bools",
    "Counts",
    "Lines",
    "Trie",
    "automaton",
    "automaton_bytes",
    "contain_any",
    "count_words",
    "enter_lines",
    "find_all",
    "find_texts",
    "make_trie",
]
