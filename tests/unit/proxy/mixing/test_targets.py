from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from proxy.mixing.targets import FileTarget, SourceTarget, Target, parse_share


def target(value: Any) -> SourceTarget | FileTarget:
    return TypeAdapter(Target).validate_python(value)


@pytest.mark.parametrize(("text", "share"), [("2%", 0.02), ("0.5 %", 0.005), ("50%", 0.5)])
def test_shares_are_read(text: str, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["60%", "0%", "2", "all"])
def test_other_shares_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hold out more than|is not a share"):
        parse_share(text)


def test_a_string_is_a_share_or_a_file() -> None:
    assert target("held_out 2%") == SourceTarget(held_out="2%")
    assert target("../evals/lambada.jsonl.zst") == FileTarget(file="../evals/lambada.jsonl.zst")
    by_url = target({"held_out": "5%", "cluster": "url"})
    assert by_url == SourceTarget(held_out="5%", cluster="url")
    assert target({"file": "a.jsonl", "score": "code"}) == FileTarget(file="a.jsonl", score="code")


@pytest.mark.parametrize("value", [3, [], {}, {"held_out": "90%"}, {"fiel": "a"}])
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        target(value)
