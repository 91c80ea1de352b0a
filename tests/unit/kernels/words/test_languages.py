"""Words and sentences of other languages are datatrove's, too, or refused with a hint."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path

import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.utils.text import split_into_sentences, split_into_words
from datatrove.utils.word_tokenizers import load_tokenizer_assignments
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.words.languages import LanguageUnavailable, sentence_code, tokenizer_of
from kernels.words.sentences import count_sentences
from kernels.words.span_tokenizer import independent
from kernels.words.words import Words, split_words, words_of

INSTALLED = ("jieba", "indic-nlp-library", "laonlp", "pythainlp")  # by the Makefile
LANGUAGES = ["deu", "fr", "es", "tur", "rus", "ara", "dan", "nld", "pol", "swh", "ind"]
MARKS = "()[]:;-.,!?'\"’«» \n\tabcäßéñçığøЖдبا1%€…z.B.d.h.p.ex.EE.UU.l'"

texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.text(st.sampled_from(MARKS), max_size=40),
    st.lists(
        st.sampled_from(
            ["z.B.", "d.h.", "p.ex.", "EE.", "UU.", "l'eau", "aujourd'hui", "и", "др.", "20.",
             "Dr.", "iur.", "):", "f(x", ":-)", ".", "!", "-", " ", "  ", "\n", "(", "das", "Ж"]
        ),
        max_size=14,
    ).map(" ".join),
)  # fmt: skip


def strings(words: Words) -> list[list[str]]:
    data, offsets = words.table.data.tobytes(), words.table.offsets.tolist()
    spelled = [data[offsets[i] : offsets[i + 1]].decode() for i in words.ids]
    return [spelled[a:b] for a, b in pairwise(words.starts)]


@pytest.fixture(scope="module", autouse=True)
def _datatrove_refuses_from_the_start() -> None:
    for language in LANGUAGES:
        split_into_words("IS_ALPHA", language)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(LANGUAGES), st.lists(texts, max_size=3))
def test_words_and_sentences_are_those_of_datatrove(language: str, rows: list[str]) -> None:
    arrow = pa.array(rows, pa.large_string())
    assert strings(split_words(arrow, language)) == [split_into_words(r, language) for r in rows]
    assert count_sentences(arrow, language).tolist() == [
        len(split_into_sentences(row, language)) for row in rows
    ]


def test_words_of_real_texts_in_many_languages(shared_data: Path) -> None:
    seen: dict[str, list[str]] = {}
    with (shared_data / "truth" / "languages.jsonl.zst").open("rb") as raw:
        for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw)):
            row = orjson.loads(line)
            language = row.get("language") or row.get("lang") or row.get("label")
            seen.setdefault(language, [row["text"][:2_000]])
    tried = 0
    for language, rows in list(seen.items())[::2]:
        try:
            tokenizer_of(language)
        except LanguageUnavailable:
            continue
        found = strings(split_words(pa.array(rows, pa.large_string()), language))
        assert found == [split_into_words(row, language) for row in rows], language
        tried += 1
    assert tried > 15


def test_languages_with_exceptions_across_spaces_are_read_whole() -> None:
    assert independent("de")
    assert not independent("es")
    assert not independent("ru")


def test_every_language_has_the_tokenizer_that_datatrove_assigns() -> None:
    for language, factory in load_tokenizer_assignments().items():
        kind, code = (*factory.args, "")[:2]
        try:
            found = tokenizer_of(language)
        except LanguageUnavailable as error:
            found = error.hint
        if kind == "WhitespaceTokenizer":
            assert found == "xx", language
        elif kind == "SpaCyTokenizer":
            assert found == code or code in ("ja", "vi", "zh"), language
        else:
            assert found == f"{kind}:{code}" or found.startswith("pip install"), language


SAMPLES = {
    "hin_Deva": "आज मौसम अच्छा है। हम पार्क (बड़ा) जाते हैं, 12.5 किमी!  ",
    "tam_Taml": "இன்று வானிலை நன்றாக உள்ளது. நாம் பூங்காவிற்கு செல்வோம்.",
    "tha": "วันนี้อากาศดีมาก เราไปสวนกันเถอะ 100 บาท",
    "lao": "ສະບາຍດີ ຂ້ອຍຮັກເຈົ້າ",
    "zho_Hani": "今天天气很好。我们去公园玩，好吗？ abc 123",
    "kor": "오늘 날씨가 좋습니다. 공원에 갑시다 12345678901234567890,1 끝.",
    "khm": "សួស្តីពិភពលោក ខ្ញុំស្រឡាញ់អ្នក",
    "vie": "Hôm nay trời đẹp. Chúng ta đi công viên.",
}


@pytest.mark.parametrize("language", SAMPLES)
def test_words_by_other_libraries_are_those_of_datatrove(language: str) -> None:
    try:
        tokenizer_of(language)
    except LanguageUnavailable as error:
        if error.hint.removeprefix("pip install ") in INSTALLED:
            raise
        pytest.skip(f"missing: {error.hint}")
    rows = [SAMPLES[language], "", SAMPLES[language] * 2, "plain words"]
    expected = [split_into_words(row, language) for row in rows]
    assert strings(split_words(pa.array(rows, pa.large_string()), language)) == expected
    assert expected[0]


@pytest.mark.parametrize("language", ["xx-none", "", "jpn"])
def test_a_language_without_a_tokenizer_is_refused_with_a_hint(language: str) -> None:
    with pytest.raises(LanguageUnavailable) as caught:
        split_words(pa.array(["a"], pa.large_string()), language)
    assert caught.value.hint


def test_a_language_of_white_space_alone_has_words_and_no_sentences() -> None:
    whitespace = next(
        language
        for language, factory in load_tokenizer_assignments().items()
        if factory.args[0] == "WhitespaceTokenizer"
    )
    text = pa.array(["one two."], pa.large_string())
    assert strings(split_words(text, whitespace)) == [split_into_words("one two.", whitespace)]
    with pytest.raises(LanguageUnavailable, match="sentences"):
        sentence_code(whitespace)


def test_what_was_derived_for_a_language_is_shared() -> None:
    assert words_of("de") is words_of("de")
