"""Documents with listed words are dropped, and the first entry found is told."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.stop_list import StopList
from pipeline.documents import Docs
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat
from pipeline.step import ManifestView
from winnow.testing import warm_up

texts = st.one_of(st.text(max_size=30), st.text("abAB é.", max_size=20))
entries = st.lists(st.text("abAé +", min_size=1, max_size=4), min_size=1, max_size=4)


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def judged(step: StopList, rows: list[str]) -> list[tuple[bool, int, str | None]]:
    """(kept, hits, entry) of every document."""
    verdict = step.filter(docs_of(rows))
    signals = verdict.signals
    first = pa.array(signals["stop_list_entry"]).to_pylist()
    hits = np.asarray(signals["stop_list_hits"]).tolist()
    return list(zip(verdict.keep.tolist(), hits, first, strict=True))


def hits(text: str, listed: list[str], *, ignore_case: bool, word_boundaries: bool) -> int:
    """By one regular expression for each entry."""
    if ignore_case:
        text, listed = text.lower(), [entry.lower() for entry in listed]
    count = 0
    for entry in {entry.strip() for entry in listed} - {""}:
        edges = [
            word_boundaries and re.match(r"\w", edge) is not None for edge in (entry[0], entry[-1])
        ]
        before, after = r"(?<!\w)" * edges[0], r"(?!\w)" * edges[1]
        count += len(re.findall(f"{before}(?={re.escape(entry)}{after})", text))
    return count


@settings(max_examples=150)
@given(st.lists(texts, max_size=4), entries, st.booleans(), st.booleans(), st.integers(0, 2))
def test_hits_are_those_of_regular_expressions(
    rows: list[str], listed: list[str], case: bool, bounds: bool, most: int
) -> None:
    if not any(entry.strip() for entry in listed):
        return
    how = {"ignore_case": case, "word_boundaries": bounds}
    step = StopList(words=tuple(listed), max_hits=most, **how)
    wanted = [hits(row, listed, **how) for row in rows]
    found = judged(step, rows)
    assert [count for _, count, _ in found] == wanted
    assert [kept for kept, *_ in found] == [count <= most for count in wanted]
    assert [entry is None for *_, entry in found] == [count == 0 for count in wanted]


def test_words_and_file_are_joined(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("\ufeffcasino bonus\r\n\n  viagra \n".encode())
    step = StopList(words=("lorem ipsum",), file=Path("list.txt"))
    assert list(step.check(ManifestView(tmp_path, 0, ("web",)))) == []
    warm_up([step])
    rows = ["a Casino Bonus!", "VIAGRA", "Lorem ipsum", "fine", "viagras", "casino  bonus", ""]
    assert judged(step, rows) == [
        (False, 1, "casino bonus"),
        (False, 1, "viagra"),
        (False, 1, "lorem ipsum"),
        (True, 0, None),
        (True, 0, None),
        (True, 0, None),
        (True, 0, None),
    ]


def test_an_edited_list_counts_at_once_and_is_another_step(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("one")
    step = StopList(file=tmp_path / "list.txt")
    recipe = step.model_dump(mode="json")
    assert judged(step, ["one two"])[0][2] == "one"
    (tmp_path / "list.txt").write_text("two, or more")
    assert judged(step, ["one two"])[0][2] is None
    assert step.model_dump(mode="json") != recipe


def test_the_first_and_longest_entry_is_told() -> None:
    step = StopList(words=("red", "red wine", "blue"))
    assert judged(step, ["blue red wine"])[0] == (False, 3, "blue")
    assert judged(step, ["red wine"])[0] == (False, 2, "red wine")


def test_case_and_boundaries_can_count() -> None:
    assert judged(StopList(words=("Ass",), ignore_case=False), ["ass", "Ass"])[0][0]
    assert not judged(StopList(words=("ass",), word_boundaries=False), ["class"])[0][0]
    assert judged(StopList(words=("ass",)), ["class"])[0][0]
    assert not judged(StopList(words=("İSTANBUL",)), ["i̇stanbul"])[0][0]


def test_reason_and_rule_name_the_parameter() -> None:
    verdict = StopList(words=("x",)).filter(docs_of(["x"]))
    assert verdict.reason == ["stop_list"]
    assert StopList(words=("x",)).rules()[0].parameter == "max_hits"


@pytest.mark.parametrize(
    ("content", "code"), [(None, "no-file"), (b"", "empty-list"), (b"caf\xe9", "bad-list")]
)
def test_a_list_that_cannot_be_used_is_refused_at_its_line(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)
    path = tmp_path / "m.yaml"
    path.write_text("sources: {a: {format: lines}}\nsteps:\n  - stop_list:\n      file: list.txt\n")
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=Registry({"stop_list": StopList}, {"lines": SourceFormat}, {}))
    (problem,) = caught.value.problems
    assert (problem.line, problem.code) == (4, code)
    assert "'list.txt'" in problem.message


@pytest.mark.parametrize("text", ["\x00", "e\u0301", "שלום", "\U0010ffff", "x" * 10_000_000])
def test_odd_texts_get_a_verdict(text: str) -> None:
    assert judged(StopList(words=("lorem",)), [text]) == [(True, 0, None)]


def test_no_documents_give_no_verdicts() -> None:
    assert judged(StopList(words=("a",)), []) == []


@pytest.mark.parametrize(
    "wrong", [{}, {"words": ()}, {"words": (" ",)}, {"words": ("a",), "max_hits": -1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StopList(**wrong)
