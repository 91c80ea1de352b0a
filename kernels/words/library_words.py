"""Words by the libraries that datatrove assigns to languages which spaCy does not cut as well.

Each is called as datatrove 0.10.1 calls it. A library is imported when its language is first read.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Find = Callable[[str], list[str]]


def library_words(kind: str, code: str) -> Find:
    """What finds the tokens of a text; ``kind`` is datatrove's name of the tokenizer."""
    if kind == "IndicNLPTokenizer":
        from indicnlp.tokenize.indic_tokenize import trivial_tokenize

        return lambda text: trivial_tokenize(text, code)
    if kind == "ThaiTokenizer":
        from pythainlp.tokenize import word_tokenize as thai

        return lambda text: thai(text, keep_whitespace=False, engine="newmm-safe")
    if kind == "LaoTokenizer":
        from laonlp.tokenize import word_tokenize as lao

        return lao  # type: ignore[no-any-return]
    if kind == "KhmerTokenizer":
        from khmernltk import word_tokenize as khmer

        return lambda text: khmer(text, return_tokens=True)
    if kind == "BurmeseTokenizer":
        import pyidaungsu

        return lambda text: pyidaungsu.tokenize(text, form="word")
    return {"KiwiTokenizer": _korean, "TibetanTokenizer": _tibetan, "StanzaTokenizer": _stanza}[
        kind
    ](code)


def _korean(_: str) -> Find:
    from kiwipiepy import Kiwi

    model = Kiwi(model_type="sbg")
    long_number = re.compile("[0-9,]{20,}")
    # Where a long number is left out, what is cut is some characters early, as in datatrove.
    return lambda text: [
        text[token.start : token.end] for token in model.tokenize(long_number.sub("", text))
    ]


def _tibetan(_: str) -> Find:
    from botok import WordTokenizer

    model = WordTokenizer()

    def find(text: str) -> list[str]:
        try:
            tokens = model.tokenize(text, split_affixes=False)
        except Exception:  # noqa: BLE001 - whatever it raises of odd spacing; once more without
            tokens = model.tokenize(re.sub(r"\s+", "", text), split_affixes=False)
        return [token.text for token in tokens]

    return find


def _stanza(code: str) -> Find:
    import stanza
    from stanza.pipeline.core import DownloadMethod

    model = stanza.Pipeline(
        code, processors="tokenize", download_method=DownloadMethod.REUSE_RESOURCES
    )
    return lambda text: [token.text for part in model(text).sentences for token in part.tokens]
