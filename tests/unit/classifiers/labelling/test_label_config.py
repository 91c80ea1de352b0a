"""What a manifest may say about servers, budgets and checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from classifiers.judges.judge_config import (
    EndpointSpec,
    Prices,
    ServerSpec,
    TransformersSpec,
    VllmSpec,
)
from classifiers.labelling.label_config import Budget, SampleSpec

SERVER: TypeAdapter[VllmSpec | EndpointSpec | TransformersSpec] = TypeAdapter(ServerSpec)


def endpoint(**changes: Any) -> EndpointSpec:
    return EndpointSpec(**{"kind": "endpoint", "model": "m", "url": "http://h:1"} | changes)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"kind": "vllm", "model": "m", "args": {"dtype": "half", "x": True}}, VllmSpec),
        ({"kind": "endpoint", "model": "m", "url": "https://h/base"}, EndpointSpec),
        ({"kind": "transformers", "model": "m"}, TransformersSpec),
    ],
)
def test_kind_says_which_server_is_meant(fields: dict[str, Any], kind: type) -> None:
    spec = SERVER.validate_python(fields)
    assert isinstance(spec, kind)
    assert spec.template_args == {"enable_thinking": False}


@pytest.mark.parametrize("url", ["h:1", "ftp://h", "http://", "http://user:secret@h", "http://h?x=1",
                                 "http://a b", "http://h/#top"])  # fmt: skip
def test_urls_that_are_none_or_hold_secrets_are_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        endpoint(url=url)


@pytest.mark.parametrize("name", ["1KEY", "sk-abc", "A KEY", "Ä"])
def test_key_is_named_by_a_variable(name: str) -> None:
    with pytest.raises(ValidationError):
        endpoint(key_env=name)
    assert endpoint(key_env="A_KEY").key_env == "A_KEY"


@pytest.mark.parametrize("budget", [{"tokens": 0}, {"money": -1}, {"gpu_seconds": 0}, {"time": 1}])
def test_budgets_are_positive(budget: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Budget(**budget)


def test_prices_are_not_negative() -> None:
    with pytest.raises(ValidationError):
        Prices(prompt=-1)


def test_samples_have_documents() -> None:
    with pytest.raises(ValidationError):
        SampleSpec(documents=0)


def test_model_that_is_neither_here_nor_pinned_is_a_problem(tmp_path: Path) -> None:
    (problem,) = VllmSpec(kind="vllm", model="org/m").check(tmp_path)
    assert (problem.path, problem.code) == (("model",), "no-revision")
    assert not list(VllmSpec(kind="vllm", model="org/m", revision="abc").check(tmp_path))
    (tmp_path / "m").mkdir()
    assert not list(VllmSpec(kind="vllm", model="m").check(tmp_path))


def test_endpoint_for_token_ids_needs_the_tokenizer(tmp_path: Path) -> None:
    (problem,) = endpoint().check(tmp_path)
    assert (problem.path, problem.code) == (("model",), "no-tokenizer")
    (problem,) = endpoint(tokenizer="t").check(tmp_path)
    assert problem.path == ("tokenizer",)
    assert not list(endpoint(api="chat").check(tmp_path))
    assert not list(endpoint(revision="abc").check(tmp_path))
    (tmp_path / "t").mkdir()
    assert not list(endpoint(tokenizer="t").check(tmp_path))
