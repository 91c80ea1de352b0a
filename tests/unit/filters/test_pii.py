"""Personal data is replaced as datatrove replaces it where both see it, and counted on request."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.pipeline.formatters.pii import PIIFormatter
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.pii import Pii
from kernels.pii.pii_scan import find
from pipeline.documents import Docs

EVERYTHING = (
    "Mail a@b.cc or c@d.ee, 41.173.96.26, tel 541-714-1388, "
    "GB33BUKB20201555555555, 4111 1111 1111 1111."
)


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def edited(rows: list[str], **parameters: Any) -> list[str]:
    verdict = Pii(**parameters).filter(docs_of(rows))
    assert verdict.keep.all()
    return rows if verdict.text is None else verdict.text.to_pylist()


def theirs(rows: list[str], **parameters: Any) -> list[str]:
    """datatrove's, begun anew for every text: its replacements take turns across texts."""
    return [PIIFormatter(**parameters).format(row) for row in rows]


names = st.text("abcXYZ019", min_size=1, max_size=8)
locals_ = st.one_of(names, st.builds("{}.{}+{}".format, names, names, names))
labels = st.text("abcxyz", min_size=1, max_size=8)
emails = st.builds("{}@{}.{}".format, locals_, labels, st.sampled_from(["org", "co.uk", "fr"]))
# Where some number is 32 or more and none is special, both see the same addresses.
ips = st.builds("{}.{}.{}.{}".format, st.integers(32, 99), *[st.integers(0, 255)] * 3)
words = st.sampled_from(
    ["text", "(and)", "«so»", "mail:", "\n", "שלום", "é", "<b>", "-", "10", "…"]
)
mixed = st.lists(st.one_of(emails, ips, words), max_size=12).map(" ".join)


@settings(max_examples=100)
@given(st.lists(mixed, max_size=4))
def test_plain_addresses_become_what_datatrove_makes_of_them(rows: list[str]) -> None:
    parameters: dict[str, Any] = {"remove_ibans": False, "remove_payment_cards": False}
    assert edited(rows, **parameters) == theirs(rows)


@given(st.lists(mixed, max_size=3), st.booleans(), st.booleans(), st.booleans())
def test_parameters_mean_what_they_mean_there(
    rows: list[str], emails_too: bool, ips_too: bool, public: bool
) -> None:
    parameters: dict[str, Any] = {
        "remove_emails": emails_too,
        "remove_ips": ips_too,
        "only_remove_public_ips": public,
        "email_replacement": "[mail]",
        "ip_replacement": ("[one]", "[two]", "[three]"),
    }
    assert edited(rows, **parameters) == theirs(rows, **parameters)


def test_real_texts_without_numbered_things_become_the_same(shared_data: Path) -> None:
    for name in ("dialog", "edu", "medical", "wiki", "books"):
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(lines))["text"][:20_000] for _ in range(20)]
        parameters: dict[str, Any] = {"remove_ips": False}
        assert edited(rows, **parameters) == theirs(rows, **parameters)


def test_annotated_data_is_found(shared_data: Path) -> None:
    wanted = {"EMAIL_ADDRESS": "email", "IP_ADDRESS": "ip", "IBAN_CODE": "iban"}
    wanted |= {"CREDIT_CARD": "card", "PHONE_NUMBER": "phone"}
    with (shared_data / "truth" / "pii-spans.jsonl.zst").open("rb") as raw:
        rows = [
            orjson.loads(line)
            for line in io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
        ]
    found = find(pa.array([row["full_text"] for row in rows], pa.large_string()))
    right = wrong = missed = 0
    for number, row in enumerate(rows):
        raw_text = row["full_text"].encode()
        ours = {(kind, raw_text[a:b].decode()) for kind, a, b in found.spans(number)}
        truth = {
            (wanted[span["entity_type"]], span["entity_value"])
            for span in row["spans"]
            if span["entity_type"] in wanted
        }
        right += len(ours & truth)
        wrong += len(ours - truth)
        missed += len(truth - ours)
    assert right >= 300
    assert wrong <= right // 50
    assert missed <= right // 50


def test_all_kinds_are_replaced() -> None:
    (text,) = edited([EVERYTHING], remove_phone_numbers=True)
    assert text == (
        "Mail email@example.com or firstname.lastname@example.org, 22.214.171.124, "
        "tel +1-202-555-0143, GB33BUKB20201555555555, 4111 1111 1111 1111."
    )


def test_telephone_numbers_stay_unless_asked_for() -> None:
    assert "541-714-1388" in edited([EVERYTHING])[0]


def test_replacements_begin_anew_in_every_document() -> None:
    assert edited(["a@b.cc", "a@b.cc"]) == ["email@example.com"] * 2
    assert edited(["a@b.cc " * 3])[0].split()[2] == "email@example.com"


def test_tagging_counts_and_leaves_the_text() -> None:
    step = Pii(mode="tag", remove_phone_numbers=True)
    verdict = step.filter(docs_of([EVERYTHING, "", "nothing"]))
    assert verdict.text is None
    assert verdict.keep.all()
    assert verdict.columns.keys() == step.adds().keys()
    assert {name: list(values) for name, values in verdict.columns.items()} == {
        "pii_emails": [2, 0, 0],
        "pii_ips": [1, 0, 0],
        "pii_phone_numbers": [1, 0, 0],
        "pii_ibans": [1, 0, 0],
        "pii_payment_cards": [1, 0, 0],
    }


def test_replacing_adds_no_columns_but_measures() -> None:
    verdict = Pii().filter(docs_of([EVERYTHING]))
    assert Pii().adds() == {}
    assert not verdict.columns
    assert verdict.signals["pii_emails"].tolist() == [2]
    assert "pii_phone_numbers" not in verdict.signals


def test_columns_are_those_of_the_kinds_looked_for() -> None:
    assert "pii_ips" in Pii(mode="tag").adds()
    assert "pii_ips" not in Pii(mode="tag", remove_ips=False).adds()


def test_what_must_stay_stays() -> None:
    rows = ["", " ", "\x00", "10.0.0.1 and 127.0.0.1", "react@18.2.0", "see 7.18.1.1", "@", "עברית"]
    assert edited(rows, remove_phone_numbers=True) == rows


def test_a_huge_line_is_done() -> None:
    text = "word " * 2_000_000 + "a@b.cc"
    assert edited([text]) == [text[:-6] + "email@example.com"]


def test_no_documents_and_nothing_wanted() -> None:
    assert edited([]) == []
    off = dict.fromkeys(
        ("remove_emails", "remove_ips", "remove_ibans", "remove_payment_cards"), False
    )
    assert edited([EVERYTHING], **off) == [EVERYTHING]


@pytest.mark.parametrize(
    "wrong", [{"mode": "drop"}, {"email_replacement": []}, {"unknown": 1}, {"remove_ips": "some"}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Pii(**wrong)
