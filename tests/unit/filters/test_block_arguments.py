"""Arguments of blocks are checked against signatures, and reach constructors as these want them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from datatrove.pipeline.filters.base_filter import BaseFilter
from datatrove.pipeline.writers.disk_base import DiskWriter

from filters.block_arguments import argument_problems, functions, read_arguments, signature


@dataclass
class Config:
    n: int = 3


class Block(BaseFilter):
    def __init__(
        self,
        whole: int,
        share: float | None = 0.5,
        pairs: tuple[tuple[int, float]] = ((2, 0.2), (3, 0.3)),
        names: Iterable = None,  # type: ignore[type-arg, assignment] # noqa: RUF013
        kind: Literal["a", "b"] = "a",
        config: Config | None = None,
        function: Callable[[str], bool] | None = None,
        path: str = "",
        untyped=4,  # type: ignore[no-untyped-def]
        exclusion_writer: DiskWriter | None = None,
        log: DiskWriter | None = None,
    ) -> None:
        super().__init__(exclusion_writer)

    def filter(self, doc: Any) -> bool:
        return True


class Open(Block):
    def __init__(self, whole: int = 1, **rest: Any) -> None:
        super().__init__(whole, **rest)


def problems(folder: Path = Path(), **given: Any) -> list[str]:
    found = argument_problems(Block, {"whole": 1} | given, folder)
    return [f"{'.'.join(map(str, p.path))}: {p.code} {p.message}" for p in found]


def test_values_are_read_as_the_annotations_say() -> None:
    given = {"whole": 2, "share": 1, "config": {"n": 5}, "kind": "b", "untyped": [1]}
    assert read_arguments(Block, given, Path()) == {
        "whole": 2,
        "share": 1.0,
        "config": Config(5),
        "kind": "b",
        "untyped": [1],
    }
    assert problems(**given) == []


def test_an_annotation_that_its_own_default_does_not_fit_is_no_guide() -> None:
    assert problems(pairs=[[2, 0.2], [3, 0.3], [4, 0.4]]) == []


def test_null_is_allowed_where_it_is_the_default() -> None:
    assert problems(names=None) == []
    assert problems(kind=None) == ["kind: not-allowed kind must be 'a' or 'b', not null"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"whole": 1.5}, "whole: wrong-type whole must be a whole number, not 1.5"),
        ({"whole": True}, "whole: wrong-type whole must be a whole number, not true"),
        ({"share": "x"}, "share: wrong-type share must be a number, not 'x'"),
        ({"names": "abc"}, "names: wrong-type names must be a list, not 'abc'"),
        ({"kind": "c"}, "kind: not-allowed kind must be 'a' or 'b', not 'c'"),
        ({"config": {"m": 1}}, "config: unknown-field config has no field 'm'"),
        ({"function": 5}, "function: not-a-function function must be a function, not 5"),
        ({"function": "json:nothing"}, "function: unknown-class json has no 'nothing'"),
        ({"function": "json:__name__"}, "function: not-a-function function: json:__name__ is no"),
        ({"whol": 1}, "whol: unknown-argument Block has no argument 'whol'"),
        ({"exclusion_writer": "x"}, "exclusion_writer: exclusion-writer 'exclusion_writer' is not"),
        ({"log": {"a": 1}}, "log: exclusion-writer 'log' is not for a step"),
    ],
)
def test_wrong_arguments_are_problems_at_their_place(given: dict[str, Any], expected: str) -> None:
    (found,) = problems(**given)
    assert found.startswith(expected)


def test_an_argument_that_is_needed_is_asked_for() -> None:
    (found,) = argument_problems(Block, {}, Path())
    assert (found.code, found.message) == (
        "missing-argument",
        "Block needs an argument 'whole'",
    )
    assert found.hint == signature(Block)


def test_hints_show_the_signature_without_writers() -> None:
    assert signature(Block).startswith("Block(whole: int, share: float | None = 0.5, pairs: ")
    assert "riter" not in signature(Block)
    assert signature(Open) == "Open(whole: int = 1, **…)"


def test_a_block_that_takes_any_name_is_given_it() -> None:
    assert list(argument_problems(Open, {"anything": [1]}, Path())) == []
    assert read_arguments(Open, {"anything": [1]}, Path()) == {"anything": [1]}


def test_paths_begin_at_the_manifest_and_are_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("x")
    named = {"whole": 1, "path": {"file": "words.txt"}}
    assert read_arguments(Block, named, tmp_path)["path"] == str(tmp_path / "words.txt")
    assert problems(tmp_path, path={"file": "words.txt"}) == []
    (found,) = problems(tmp_path, path="words.txt")
    assert found.startswith("path: plain-path path names a file, and its content would not count")
    assert problems(tmp_path, path="other.txt") == []
    assert problems(tmp_path, path="a." * 5_000) == []


def test_functions_are_of_a_file_beside_the_manifest_or_of_a_package(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def no(text):\n    return False\n")
    (own,) = functions(Block, {"function": "own.py:no"}, tmp_path)
    assert own("x") is False
    assert read_arguments(Block, {"function": "keyword:iskeyword"}, tmp_path)["function"]("if")
