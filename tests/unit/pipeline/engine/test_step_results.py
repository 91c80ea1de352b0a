"""What a step may return, and what is refused: with the step, what it gave and the document."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tasks import documents

from pipeline.documents import Docs
from pipeline.engine.step_results import CheckedResult, checked, filtered, mapped, reduced
from pipeline.errors import ShardError
from pipeline.step import FilterResult, GlobalStep, Position, ReduceInput, RowStep

DOCS = Docs(documents(["a", "b", "c"]))


class Given(RowStep):
    """Returns what the test gives it."""

    def adds(self) -> dict[str, pa.DataType]:
        return {"n": pa.float32(), "word": pa.large_string()}


class Plain(RowStep):
    """Declares no columns."""


class Edits(RowStep):
    """Declares that it edits texts."""

    def edits_text(self) -> bool:
        return True


def check(**result: Any) -> CheckedResult:
    return checked(Plain(), FilterResult(**result), DOCS)


def refused(step: RowStep, result: object) -> ShardError:
    with pytest.raises(ShardError) as caught:
        checked(step, result, DOCS)
    assert caught.value.code == "step-result"
    assert f"{type(step).__name__} (" in caught.value.message
    assert "test_step_results.py:" in caught.value.message
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "keep",
    [
        np.array([True, False, True]),
        [True, False, True],
        (True, False, True),
        [1, 0, 1],
        np.array([1, 0, 1], np.uint8),
        np.array([1.0, 0.0, 1.0]),
        np.array([True, False, True], dtype=object),
        pa.array([True, False, True]),
        pa.array([1, 0, 1]),
        pa.chunked_array([[True], [False, True]]),
    ],
)
def test_masks_of_any_kind_are_taken_as_what_they_mean(keep: Any) -> None:
    found = check(keep=keep, reason="r")
    assert found.keep.dtype == np.bool_
    assert found.keep.tolist() == [True, False, True]
    assert found.reasons == ["r"]


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        (None, "keep is None"),
        ([True, None, True], "keep is None, for document 'web/1' (web.jsonl:2)"),
        ([True, float("nan"), True], "keep is nan (float), for document 'web/1'"),
        (np.array([np.nan] * 3), "keep is nan (float), for document 'web/0'"),
        (pa.array([True, None, True]), "keep is None, for document 'web/1'"),
        ([1, 2, 1], "keep is 2 (int), for document 'web/1'"),
        (["a", "b", "c"], "keep is 'a' (str)"),
        (["True", "False", ""], "keep is 'True' (str)"),
        (True, "keep is True (bool)"),
        (np.ones((3, 1), bool), "keep is an array of bool with shape (3, 1)"),
        ([[True], [True, False]], "keep is [[True], [True, False]] (list)"),
        ([True], "keep has 1 values, the batch has 3 documents"),
    ],
)
def test_masks_that_do_not_say_true_or_false_are_refused(keep: Any, words: str) -> None:
    assert words in refused(Plain(), FilterResult(keep=keep, reason="r")).message


@pytest.mark.parametrize("result", [None, np.ones(3, bool), (np.ones(3, bool), "r"), {}])
def test_what_is_no_result_is_refused(result: object) -> None:
    error = refused(Plain(), result)
    assert "not a FilterResult" in error.message
    assert "FilterResult(keep=…, reason=…)" in error.hint


@pytest.mark.parametrize("reason", ["", " \n", None, ["a", "", "c"], ["a", None, "c"], [1, 2, 3]])
def test_every_dropped_document_has_a_reason(reason: Any) -> None:
    error = refused(Plain(), FilterResult(keep=[True, False, False], reason=reason))  # type: ignore[arg-type]
    assert "the reason is" in error.message
    assert "for document 'web/1'" in error.message


def test_kept_documents_need_no_reason() -> None:
    assert check(keep=[True] * 3).reasons == []
    assert check(keep=[1, 0, 1], reason=["", "why", None]).reasons == ["why"]
    assert check(keep=[1, 0, 1], reason=np.array(["", "why", ""])).reasons == ["why"]
    assert check(keep=[1, 0, 1], reason=pa.array(["", "why", None])).reasons == ["why"]


def test_reasons_of_another_number_are_refused() -> None:
    error = refused(Plain(), FilterResult(keep=[1, 0, 1], reason=["a"]))  # type: ignore[arg-type]
    assert "reason has 1 values, the batch has 3" in error.message


@given(st.lists(st.booleans(), min_size=3, max_size=3), st.lists(st.text(), min_size=3, max_size=3))
def test_reasons_are_those_of_dropped_documents_in_order(keep: list[bool], why: list[str]) -> None:
    why = [f"r{text}" for text in why]
    found = check(keep=keep, reason=why)
    assert found.reasons == [text for text, kept in zip(why, keep, strict=True) if not kept]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (pa.nulls(3, pa.large_string()), "text is null, for document 'web/0'"),
        (pa.array([1, 2, 3]), "text holds int64"),
        (["a", "b"], "text has 2 values"),
        (pa.array([b"\xff"] * 3).view(pa.string()), "text is not sound"),
    ],
)
def test_edited_text_is_text_for_every_document(text: Any, words: str) -> None:
    assert words in refused(Edits(), FilterResult(keep=[1, 1, 1], text=text)).message  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", [["x", "", "é"], pa.array(["x", "", "é"]), pa.chunked_array([["x"], ["", "é"]])]
)
def test_edited_text_may_come_as_any_text(text: Any) -> None:
    found = checked(Edits(), FilterResult(keep=[1, 1, 1], text=text), DOCS).text  # type: ignore[arg-type]
    assert found is not None
    assert found.type == pa.large_string()
    assert found.to_pylist() == ["x", "", "é"]


def columns(**given: Any) -> FilterResult:
    return FilterResult(keep=np.ones(3, bool), columns={"n": [1, 2, 3], "word": ["a"] * 3} | given)


def test_columns_take_the_declared_types() -> None:
    for other in ({}, {"n": [None] * 3}, {"n": np.arange(3.0)}, {"word": pa.array(["a"] * 3)}):
        found = checked(Given(), columns(**other), DOCS).columns
        assert {name: array.type for name, array in found.items()} == Given().adds()


def test_edited_text_of_a_step_that_does_not_declare_it_is_refused() -> None:
    error = refused(Plain(), FilterResult(keep=[1, 1, 1], text=pa.array(["a"] * 3)))  # type: ignore[arg-type]
    assert "does not declare that it edits any" in error.message
    assert "def edits_text(self): return True" in error.hint


@pytest.mark.parametrize("name", ["id", "text", "source", "_source", "_offset"])
def test_no_step_replaces_what_documents_are(name: str) -> None:
    error = refused(Plain(), FilterResult(np.ones(3, bool), columns={name: ["x"] * 3}))
    assert f"columns has '{name}', which no step may replace" in error.message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"more": [1, 2, 3]}, "columns has 'more', which the step does not declare"),
        ({"n": ["a", "b", "c"]}, "the column n holds string, not float as declared"),
        ({"n": ["1", "2", "3"]}, "the column n holds string, not float as declared"),
        ({"word": [1, 2, 3]}, "the column word holds int64, not large_string as declared"),
        ({"n": [1]}, "the column n has 1 values"),
        ({"n": [1, "a", 2]}, "the column n is [1, 'a', 2] (list)"),
    ],
)
def test_columns_are_what_the_step_declares(given: dict[str, Any], words: str) -> None:
    assert words in refused(Given(), columns(**given)).message


def test_a_declared_column_may_not_be_left_out() -> None:
    error = refused(Given(), FilterResult(np.ones(3, bool), columns={"n": [1, 2, 3]}))
    assert "columns lacks 'word', which the step declares" in error.message


def test_signals_fit_the_batch() -> None:
    error = refused(Plain(), FilterResult(np.ones(3, bool), signals={"s": np.arange(2)}))
    assert "the signal s has 2 values, the batch has 3 documents" in error.message


class Exits(RowStep):
    """Ends the process, or tries to."""

    def filter(self, docs: Docs) -> FilterResult:
        raise SystemExit(0)


def test_sys_exit_is_the_fault_of_the_step() -> None:
    with pytest.raises(ShardError, match=r"Exits \(.*\): filter raised SystemExit.*sys.exit\(0\)"):
        filtered(Exits(), DOCS)


class Maps(GlobalStep):
    """Maps to a number each, or to something wrong."""

    wrong: str = ""

    def map(self, docs: Docs) -> Any:
        if self.wrong == "kind":
            return {"n": [1]}
        if self.wrong == "rows":
            return pa.record_batch({"n": pa.nulls(len(docs) + 1)})
        return pa.record_batch({"n": pa.array(range(len(docs)))})

    def reduce(self, reduce_input: ReduceInput, folder: Any) -> Any:
        return None if self.wrong == "metrics" else {"seed": reduce_input.seed}


def test_what_a_global_step_maps_to_is_checked() -> None:
    batch = mapped(Maps(), DOCS, None)
    assert mapped(Maps(), DOCS, batch.schema).num_rows == 3
    for wrong, words in (
        ("kind", "not a pyarrow.RecordBatch"),
        ("rows", "4 rows for a batch of 3"),
    ):
        with pytest.raises(ShardError, match=words):
            mapped(Maps(wrong=wrong), DOCS, None)
    with pytest.raises(ShardError, match="columns of another kind"):
        mapped(Maps(), DOCS, pa.schema([("m", pa.int64())]))


def test_what_a_global_step_reduces_to_is_checked(tmp_path: Any) -> None:
    given = ReduceInput((), (), seed=5)
    assert reduced(Maps(), given, tmp_path) == {"seed": 5}
    with pytest.raises(ShardError, match=r"Maps \(.*reduce returned None, not a mapping"):
        reduced(Maps(wrong="metrics"), given, tmp_path)


def test_the_position_of_a_document_at_fault_is_that_in_its_shard() -> None:
    from pathlib import Path

    from pipeline.engine.step_results import applied

    class Applies(GlobalStep):
        def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
            if at.row <= 11 < at.row + len(docs):
                raise LookupError("row 11")
            return FilterResult(np.ones(len(docs), bool))

    with pytest.raises(ShardError, match="on document 'web/1'"):
        applied(Applies(), DOCS, Path(), Position(0, 10))
