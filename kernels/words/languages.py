"""Which tokenizer finds the words of a language: the one that datatrove assigns to it.

The assignment is read from datatrove's own table (``tokenizer_assignment.csv``), as a file.
"""

from __future__ import annotations

import csv
import functools
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Library (module, and its name on PyPI) by tokenizer class, or by spaCy's code where spaCy needs
# one beside itself.
_LIBRARIES = {
    "zh": ("jieba", "jieba"),
    "vi": ("pyvi", "pyvi"),
    "BurmeseTokenizer": ("pyidaungsu", "pyidaungsu-numpy2"),
    "IndicNLPTokenizer": ("indicnlp", "indic-nlp-library"),
    "KhmerTokenizer": ("khmernltk", "khmer-nltk"),
    "KiwiTokenizer": ("kiwipiepy", "kiwipiepy"),
    "LaoTokenizer": ("laonlp", "laonlp"),
    "StanzaTokenizer": ("stanza", "stanza"),
    "ThaiTokenizer": ("pythainlp", "pythainlp"),
    "TibetanTokenizer": ("botok", "botok"),
}
# Needs a tokenizer that datatrove changes at run time.
_UNSUPPORTED = frozenset({"ja"})


class LanguageUnavailable(ValueError):
    """No tokenizer for a language here. ``hint`` says what would help."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@functools.cache
def _assignments() -> dict[str, tuple[str, str]]:
    """Language code (with or without its script) → tokenizer class and its code."""
    spec = find_spec("datatrove")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    found: dict[str, tuple[str, str]] = {}
    path = Path(spec.submodule_search_locations[0], "assets", "tokenizer_assignment.csv")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        columns = next(rows)
        for values in rows:
            row = dict(zip(columns, values, strict=True))
            if not row["type"]:
                continue
            names = [row["code_3"]]
            # datatrove reads these flags as texts, so "FALSE" counts as yes.
            if row["code_1"] and row["default_code_1"]:
                names.append(row["code_1"])
            for name in names:
                with_script = f"{name}_{row['script']}"
                if with_script not in found:
                    found[with_script] = row["type"], row["tok_code"]
                    if row["default_script"]:
                        found[name] = row["type"], row["tok_code"]
    return found


@functools.cache
def tokenizer_of(language: str) -> str:
    """The tokenizer for ``language`` ("en", "deu", "srp_Cyrl"): spaCy's code, or another class and
    its code ("IndicNLPTokenizer:hi").

    Raises LanguageUnavailable when datatrove assigns none, or one that is not installed.
    """
    assigned = _assignments().get(language)
    if assigned is None:
        hint = "an ISO 639-3 or 639-1 code, with or without a script: en, deu, srp_Cyrl"
        raise LanguageUnavailable(f"no language {language!r} is known", hint)
    kind, code = assigned
    if kind == "WhitespaceTokenizer":
        return "xx"
    if code in _UNSUPPORTED:
        hint = "filters that need no words (c4_paragraphs, character_set …) take any language"
        raise LanguageUnavailable(f"words of {language!r} are not found here", hint)
    library, package = _LIBRARIES.get(code if kind == "SpaCyTokenizer" else kind, ("", ""))
    if library and find_spec(library) is None:
        message = f"words of {language!r} need the library {library} ({kind})"
        raise LanguageUnavailable(message, f"pip install {package}")
    return code if kind == "SpaCyTokenizer" else f"{kind}:{code}"


def sentence_code(language: str) -> str:
    """spaCy's code for the sentences of ``language``; raises as ``tokenizer_of`` does."""
    code = tokenizer_of(language)
    if _assignments()[language][0] != "SpaCyTokenizer":
        hint = "filters that count no sentences take this language"
        raise LanguageUnavailable(f"sentences of {language!r} are not found here", hint)
    return code


def blank(code: str) -> Any:
    """spaCy's blank pipeline for ``code``, as datatrove configures it."""
    import spacy

    if code == "zh":
        return spacy.blank(code, config={"nlp": {"tokenizer": {"segmenter": "jieba"}}})
    return spacy.blank(code)
