"""What a reply means, garbage included."""

from __future__ import annotations

import email.utils
import json
import math
import time
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.judges.answers import MISSING
from classifiers.judges.http_client import (
    MAX_WAIT_S,
    check_status,
    error_message,
    first_choice,
    read_body,
    read_logprobs,
    read_usage,
    retry_after,
)
from classifiers.judges.judge import RequestError, Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def error_of(status: int, body: bytes = b"", **headers: str) -> RequestError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(RequestError) as caught:
        check_status(status, named, body)
    return caught.value


def vllm_error(message: str) -> bytes:
    return json.dumps({"error": {"message": message, "type": "BadRequestError"}}).encode()


def test_success_is_no_error() -> None:
    check_status(200, {}, b"")


@pytest.mark.parametrize(
    ("status", "message", "kind", "code"),
    [
        (401, "", "fatal", "not-authorised"),
        (403, "", "fatal", "not-authorised"),
        (404, "The model `x` does not exist.", "fatal", "no-such-model"),
        (429, "slow down", "busy", "http-429"),
        (503, "", "busy", "http-503"),
        (500, "oh", "again", "http-500"),
        (502, "<html>bad gateway</html>", "again", "http-502"),
        (500, "EngineCore encountered an issue.", "dead", "http-500"),
        (400, "The maximum context length is 2048 tokens.", "too_long", "context-too-long"),
        (400, "max_tokens must be at least 1, got 0.", "too_long", "context-too-long"),
        (413, "", "too_long", "context-too-long"),
        (400, "unknown parameter", "refused", "http-400"),
        (422, "unprocessable", "refused", "http-422"),
        (302, "", "refused", "http-302"),
        (408, "Request Timeout", "again", "http-408"),
        (409, "conflict", "again", "http-409"),
        (423, "locked", "again", "http-423"),
        (425, "Too Early", "again", "http-425"),
        (499, "client closed request", "again", "http-499"),
        (500, "context size has been exceeded", "too_long", "context-too-long"),
        (503, "too many tokens in the queue", "busy", "http-503"),
    ],
)  # fmt: skip
def test_status_says_what_to_do(status: int, message: str, kind: str, code: str) -> None:
    failure = error_of(status, vllm_error(message))
    assert (failure.kind, failure.code) == (kind, code)
    assert bool(failure.hint) == (kind == "fatal")


# What servers say of a prompt that does not fit: llama.cpp (two releases), vLLM (three), TGI (two),
# SGLang, OpenAI, Mistral, Anthropic, Ollama, Cohere and a proxy that keeps the code alone.
TOO_LONG_REPLIES = [
    (400, {"error": {"code": 400, "type": "exceed_context_size_error", "n_ctx": 512,
                     "message": "the request exceeds the available context size, try increasing it",
                     "n_prompt_tokens": 900}}),
    (500, {"error": {"message": "Context size has been exceeded.", "type": "server_error"}}),
    (400, {"error": {"message": "The decoder prompt (length 5000) is longer than the maximum model "
                                "length of 4096. Make sure that `max_model_len` is no smaller."}}),
    (400, {"object": "error", "type": "BadRequestError",
           "message": "This model's maximum context length is 4096 tokens. However, you requested "
                      "4100 tokens in the messages."}),
    (400, {"error": {"message": "max_tokens must be at least 1, got -3."}}),
    (422, {"error": "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000",
           "error_type": "validation"}),
    (422, {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. "
                    "Given: 4000 `inputs` tokens and 1 `max_new_tokens`",
           "error_type": "validation"}),
    (400, {"message": "The input (3000 tokens) is longer than the model's context length (2048)."}),
    (400, {"error": {"message": "Please reduce the length.", "code": "context_length_exceeded"}}),
    (400, {"object": "error", "code": 3051,
           "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum"}),
    (400, {"type": "error", "error": {"type": "invalid_request_error",
                                      "message": "prompt is too long: 210 tokens > 200 maximum"}}),
    (400, {"error": "input length exceeds maximum context length"}),
    (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"}),
    (400, {"error": {"type": "context-window-exceeded"}}),
]  # fmt: skip
REFUSALS = [
    "Requested prompt logprobs of 25, which is greater than max allowed: 20",
    "Token id 151999 is out of vocabulary, larger than 151936",
    "temperature must be less than 2",
    "the prompt displeases",
    "unknown field return_tokens_as_token_ids",
]


@pytest.mark.parametrize(("status", "body"), TOO_LONG_REPLIES)
def test_a_prompt_that_does_not_fit_is_recognised_whatever_the_server(
    status: int, body: dict[str, Any]
) -> None:
    failure = error_of(status, orjson.dumps(body))
    assert (failure.kind, failure.code) == ("too_long", "context-too-long")
    assert failure.message


@pytest.mark.parametrize("message", REFUSALS)
def test_a_parameter_that_is_refused_is_no_long_prompt(message: str) -> None:
    assert error_of(400, vllm_error(message)).kind == "refused"


@given(st.integers(201, 599), st.binary(max_size=200))
def test_any_reply_is_one_kind_of_error(status: int, body: bytes) -> None:
    kinds = {"busy", "again", "too_long", "refused", "dead", "fatal"}
    assert error_of(status, body).kind in kinds


def test_a_refusal_with_a_time_to_wait_is_asked_again_after_it() -> None:
    failure = error_of(418, Retry_After="3")
    assert (failure.kind, failure.after) == ("again", 3.0)


@pytest.mark.parametrize("status", [429, 503, 500, 408, 418])
def test_a_longer_wait_than_a_run_takes_is_fatal_and_named(status: int) -> None:
    failure = error_of(status, Retry_After="86400")
    assert (failure.kind, failure.code) == ("fatal", "wait-too-long")
    assert "86,400 s (Retry-After)" in failure.message
    assert f"{MAX_WAIT_S:g} s at most" in failure.message
    assert failure.hint


def test_retry_after_in_seconds_and_as_a_date() -> None:
    assert error_of(429, Retry_After="7").after == 7.0
    soon = email.utils.formatdate(time.time() + 20, usegmt=True)
    assert 15 < (retry_after({"Retry-After": soon}) or 0) <= 20
    assert retry_after({"Retry-After": "0.25"}) == 0.25


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("1000000000", 1e9),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("-5", 0.0),
        ("nan", None),
        ("inf", None),
        ("1e999", None),
        ("", None),
        ("soon", None),
        ("Fri, 32 Dec 2026 25:61:61 GMT", None),
    ],
)
def test_waits_are_read_or_passed_over(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value}) == seconds


@given(st.text(max_size=40))
def test_any_retry_after_is_a_wait_or_none(value: str) -> None:
    seconds = retry_after({"Retry-After": value})
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))


@given(st.binary(max_size=200))
def test_error_message_is_one_short_line_whatever_the_body(body: bytes) -> None:
    message = error_message(body)
    assert len(message) <= 300
    assert "\n" not in message


def test_error_message_is_the_servers_own() -> None:
    assert error_message(vllm_error("so  it\nis")) == "so it is"
    assert error_message(b'{"message": "flat"}') == "flat"
    assert error_message(b'{"error": "text"}') == "text"
    assert error_message(b"plain") == "plain"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"x"', b"{}", b'{"choices": {}}', b"NaN"])
def test_reply_that_is_no_answer_is_garbage(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        read_body(body, "m")
    assert caught.value.kind == "garbage"


def test_reply_of_another_model_is_fatal_and_its_cost_is_known() -> None:
    body = {"model": "other", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}
    with pytest.raises(RequestError) as caught:
        read_body(orjson.dumps(body), "m")
    failure = caught.value
    assert (failure.kind, failure.code, failure.usage) == ("fatal", "model-changed", Usage(9, 0, 1))
    assert read_body(orjson.dumps({**body, "model": None}), "m")["choices"] == []


def test_first_choice_is_a_mapping_or_garbage() -> None:
    assert first_choice({"choices": [{"text": "x"}]}) == {"text": "x"}
    for choices in ([], ["text"], [None], [[1]]):
        with pytest.raises(RequestError, match="no-choices"):
            first_choice({"choices": choices})


def test_usage_counts_cached_tokens_among_those_of_the_prompt() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 2}
    assert read_usage({"usage": usage}) == Usage(10, 0, 2)
    usage["prompt_tokens_details"] = {"cached_tokens": 8}  # type: ignore[assignment]
    assert read_usage({"usage": usage}) == Usage(10, 8, 2)
    usage["prompt_tokens_details"] = {"cached_tokens": 80}  # type: ignore[assignment]
    assert read_usage({"usage": usage}) == Usage(10, 10, 2)


@given(JSON, JSON, JSON)
def test_absurd_counts_are_none_and_fit_into_the_store(a: Any, b: Any, c: Any) -> None:
    usage = {"prompt_tokens": a, "completion_tokens": b, "prompt_tokens_details": c}
    for whole in ({"usage": usage}, {"usage": a}, {}):
        found = read_usage(whole)
        assert all(0 <= n < 2**40 for n in (found.prompt, found.cached, found.completion))


def top(**logprobs: Any) -> dict[str, Any]:
    return {"logprobs": {"top_logprobs": [{f"token_id:{k[1:]}": v for k, v in logprobs.items()}]}}


def test_logprobs_are_in_the_order_of_the_ids() -> None:
    assert read_logprobs(top(_5=-1.5, _7=-0.5, _9=-3), [7, 5]) == [-0.5, -1.5]


def test_null_is_no_probability_and_a_missing_label_is_another_thing() -> None:
    assert read_logprobs(top(_5=None, _7=-1), [5, 7], only_top=False) == [MISSING, -1.0]
    assert read_logprobs(top(_7=-1), [5, 7]) == [MISSING, -1.0]
    with pytest.raises(RequestError, match="labels-missing"):
        read_logprobs(top(_7=-1), [5, 7], only_top=False)


@given(JSON)
def test_any_reply_gives_numbers_or_garbage(value: Any) -> None:
    choices = [
        {"logprobs": value},
        {"logprobs": {"top_logprobs": value}},
        {"logprobs": {"top_logprobs": [value]}},
        top(_5=value, _7=value),
    ]
    for choice in choices:
        with suppress(RequestError):
            found = read_logprobs(choice, [5, 7])
            assert all(isinstance(number, float) for number in found)
            assert not any(math.isnan(n) for n in found) or value != value
