"""Text is repaired exactly as ftfy repairs it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.pipeline.formatters.ftfy import FTFYFormatter
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.repair import Repair
from pipeline.documents import Docs
from winnow.testing import warm_up

PIECES = [
    "plain ",
    "word\n",
    "\r\n",
    "\r",
    "&",
    "&amp;",
    "&eacute;",
    "<",
    "<b>",
    "\x1b[36m",
    "\x00",
]
PIECES += ["\x85", "âœ”", "Ã©", "â€™", "“", "”", "é", "naïve ", "ﬁ", "ＬＯＵＤ", "\ufeff", "\u2028"]
PIECES += [
    "Â ",
    "à ",
    "œ ",
    "русский ",
    "中文",
    "\u206a",
    "e\u0301",
    "\n\n",
    "l’été",
    "…",
    "\ud7ff",
]
PIECES += [text.encode().decode(codec) for text in ("é’", "ж") for codec in ("cp1252", "latin-1")]
texts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map("".join))


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def repaired(rows: list[str], **parameters: Any) -> list[str]:
    verdict = Repair(**parameters).filter(docs_of(rows))
    assert verdict.keep.all()
    return rows if verdict.text is None else verdict.text.to_pylist()


def theirs(rows: list[str], **parameters: Any) -> list[str]:
    formatter = FTFYFormatter(**parameters)
    return [formatter.format(row) for row in rows]


def test_defaults_are_those_of_datatrove() -> None:
    config = FTFYFormatter().config._asdict()
    assert {name: config[name] for name in Repair.model_fields} == Repair().model_dump()
    assert set(config) - set(Repair.model_fields) == {"max_decode_length", "explain"}


@settings(max_examples=300)
@given(st.lists(texts, max_size=4))
def test_any_text_becomes_what_ftfy_makes_of_it(rows: list[str]) -> None:
    assert repaired(rows) == theirs(rows)


flags = {name: st.booleans() for name in Repair.model_fields if name.startswith(("fix_", "re"))}


@settings(max_examples=200)
@given(
    st.lists(texts, max_size=3),
    st.fixed_dictionaries(
        {
            **flags,
            "fix_surrogates": st.just(True),
            "unescape_html": st.sampled_from(["auto", True, False]),
            "decode_inconsistent_utf8": st.booleans(),
            "uncurl_quotes": st.booleans(),
            "normalization": st.sampled_from([None, "NFC", "NFD", "NFKC", "NFKD"]),
        }
    ),
)
def test_every_option_does_what_it_does_there(rows: list[str], options: dict[str, Any]) -> None:
    assert repaired(rows, **options) == theirs(rows, **options)


def test_real_texts_become_what_ftfy_makes_of_them(shared_data: Path) -> None:
    for path in sorted((shared_data / "domains").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(lines))["text"][:10_000] for _ in range(6)]
        assert repaired(rows) == theirs(rows)


def test_lines_longer_than_ftfy_decodes_at_once() -> None:
    # It cuts them, and "&" counts until the first "<" of a piece.
    rows = ["&amp;" + "x" * 1_000_000 + "<&amp; âœ”", "é" * 1_000_001 + "Ã©\n&amp;"]
    assert repaired(rows) == theirs(rows)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ""),
        (" ", " "),
        ("plain\r\ntext", "plain\r\ntext"),
        ("âœ” No problems", "✔ No problems"),
        ("a\x00b\x1b[36m", "ab"),
        ("fish &amp; chips", "fish & chips"),
        ("<b>fish &amp; chips", "<b>fish &amp; chips"),
        ("“curly” ﬁ", "“curly” ﬁ"),
        ("שלום e\u0301", "שלום e\u0301"),
    ],
)
def test_what_is_broken_is_mended_and_typography_stays(text: str, wanted: str) -> None:
    assert repaired([text]) == [wanted]


def test_repaired_lines_are_counted() -> None:
    verdict = Repair().filter(docs_of(["âœ”\nfine\nÃ©", "fine", "", "l’été “x”"]))
    assert np.asarray(verdict.signals["repaired_lines"]).tolist() == [2, 0, 0, 0]


def test_texts_that_stay_are_not_written_anew() -> None:
    assert Repair().filter(docs_of(["plain", "l’été"])).text is None
    assert Repair().filter(docs_of([])).text is None


def test_preparing_changes_nothing() -> None:
    warm_up([Repair()])
    assert repaired(["âœ”"]) == ["✔"]


def test_a_slice_is_repaired_from_where_it_begins() -> None:
    text = pa.array(["skipped Ã©", "âœ”", "x"], pa.large_string()).slice(1)
    verdict = Repair().filter(Docs(pa.record_batch({"text": text})))
    assert verdict.text is not None
    assert verdict.text.to_pylist() == ["✔", "x"]


def test_ftfy_is_the_version_that_plain_lines_were_judged_by() -> None:
    assert ftfy.__version__.startswith("6.3.")


@pytest.mark.parametrize("wrong", [{"unescape_html": "some"}, {"normalization": "NFX"}, {"x": 1}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Repair(**wrong)
