"""Suggestions and shown values."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.manifest.wording import (
    MAX_SHOWN,
    counted,
    did_you_mean,
    nearest,
    printable,
    show_text,
)


def test_the_nearest_name_is_suggested_whatever_its_case() -> None:
    assert nearest("NGRM", ["ngram", "buckets"]) == "did you mean 'ngram'?"
    assert nearest("zzz", ["ngram", "buckets"]) == ""
    assert nearest("n" * 1_000, ["n" * 999]) == ""


def test_without_a_near_name_all_are_listed() -> None:
    assert did_you_mean("zzz", ["ngram", "buckets"], "fields") == "fields: buckets, ngram"
    assert did_you_mean("zzz", [], "fields") == ""
    many = did_you_mean("zzz", [f"name{i:02}" for i in range(20)], "fields")
    assert many.endswith("name11, …")


@given(st.text(), st.lists(st.text(max_size=5)))
def test_a_suggestion_is_always_one_of_the_names(word: str, names: list[str]) -> None:
    hint = nearest(word, names)
    assert hint in ("", *(f"did you mean {show_text(name)}?" for name in names))


@given(st.text())
def test_shown_text_is_short_and_harmless_to_a_terminal(text: str) -> None:
    assert show_text(text).isprintable()
    assert len(show_text(text)) <= 10 * MAX_SHOWN + 3
    assert len(printable(text)) == len(text)
    assert printable(text).isprintable()


def test_one_thing_is_no_plural() -> None:
    assert [counted(n, "source") for n in (0, 1, 2)] == ["0 sources", "1 source", "2 sources"]
    assert counted(1_500, "process") == "1,500 processes"
