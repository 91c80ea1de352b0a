"""Columns are checked in the order of the steps: read only when they are there, added once."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa
import pytest

from pipeline.documents import ColumnType
from pipeline.errors import Problem
from pipeline.manifest.column_checks import added_columns, column_problems
from pipeline.step import Column, Location, RowStep

ADDED: Mapping[str, pa.DataType | None] = {
    "edu": pa.float32(),
    "topic": pa.large_string(),
    "later": None,
}


class Reads(RowStep):
    """Reads one column."""

    column: str
    holds: str = "anything"

    def reads(self) -> dict[Location, Column]:
        return {("column",): Column(self.column, self.holds)}  # type: ignore[arg-type]


class Adds(RowStep):
    """Adds one column."""

    column: str = "score"
    students: dict[str, int] = {}

    def adds(self) -> dict[str, pa.DataType]:
        return {name: pa.large_string() for name in self.students or (self.column,)}


class Relabels(Adds):
    """Takes the place of a column."""

    replaces = frozenset({"topic"})


def of(step: RowStep, columns: Mapping[str, ColumnType] = ADDED) -> list[Problem]:
    return list(column_problems(step, columns))


@pytest.mark.parametrize(
    ("column", "holds"),
    [
        ("edu", "anything"),
        ("edu", "numbers"),
        ("later", "numbers"),
        ("later", "groups"),
        ("topic", "groups"),
        ("source", "groups"),
        ("_offset", "numbers"),
        ("metadata", "anything"),
    ],
)
def test_columns_that_are_there_may_be_read(column: str, holds: str) -> None:
    assert of(Reads(column=column, holds=holds)) == []


def test_a_column_that_nobody_adds_is_a_problem_where_it_is_named() -> None:
    (problem,) = of(Reads(column="edo", holds="numbers"))
    assert (problem.path, problem.code) == (("column",), "unknown-column")
    assert "'edo'" in problem.message
    assert set(problem.choices) == {"edu", "later", "_offset"}


def test_a_column_that_holds_something_else_is_a_problem() -> None:
    (problem,) = of(Reads(column="topic", holds="numbers"))
    assert problem.code == "wrong-column"
    assert "'topic' holds large_string, not numbers" in problem.message
    (problem,) = of(Reads(column="edu", holds="groups"))
    assert "holds float, not text or whole numbers" in problem.message


def test_columns_are_added_once() -> None:
    assert of(Adds()) == []
    (problem,) = of(Adds(column="topic"))
    assert (problem.path, problem.code) == (("column",), "column-exists")
    (problem,) = of(Adds(students={"new": 1, "edu": 2}))
    assert problem.path == ("students", "edu")
    assert of(Relabels(column="topic")) == []
    assert [p.code for p in of(Relabels(column="edu"))] == ["column-exists"]


@pytest.mark.parametrize("name", ["id", "text", "source", "_source", "_offset"])
def test_what_documents_are_is_not_replaced(name: str) -> None:
    assert [problem.code for problem in of(Relabels(column=name))] == ["column-exists"]


class Names(RowStep):
    """Adds a column of a type that it names."""

    kind: str

    def adds(self) -> dict[str, str]:
        return {"language": self.kind, "extra": self.kind}


def test_a_type_may_be_named() -> None:
    assert of(Names(kind="large_string")) == []
    assert [problem.code for problem in of(Names(kind="float32"))] == ["column-exists"]
    number, text = {"extra": "float32"}, {"extra": "string"}
    assert of(Reads(column="extra", holds="numbers"), number) == []
    assert [p.code for p in of(Reads(column="extra", holds="numbers"), text)] == ["wrong-column"]
    assert of(Reads(column="extra", holds="groups"), text) == []


def test_a_name_that_is_no_type_is_a_problem() -> None:
    found = of(Names(kind="flaot32"))
    assert {problem.code for problem in found} == {"step-result"}
    assert "'flaot32' for extra" in found[1].message
    assert list(added_columns(Names(kind="flaot32"))) == []


def test_what_is_known_of_documents_may_be_filled_in_with_its_own_type() -> None:
    class Number(Adds):
        def adds(self) -> dict[str, pa.DataType]:
            return {"language": pa.float32()}

    assert of(Adds(column="language")) == []
    assert [problem.code for problem in of(Number())] == ["column-exists"]
