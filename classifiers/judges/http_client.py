"""What an HTTP reply of a server means: an answer, or which kind of trouble."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from classifiers.judges.answers import MISSING
from classifiers.judges.judge import RequestError, Usage

MAX_WAIT_S = 300.0  # longer waits that a server asks for are cut to this
MOST_TOKENS = 2**40  # of one request; what is more is no count of tokens
_TOO_LONG = (
    "maximum context length",
    "max_tokens must be at least 1",
    "context length",
    "too long",
)
_DEAD = ("EngineCore", "EngineDead", "engine is dead")


def check_status(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises the Trouble that a status other than 200 stands for."""
    if status == 200:
        return
    message = error_message(body)
    if status in (401, 403):
        hint = "set key_env to the environment variable with a key that this server takes"
        raise RequestError("fatal", "not-authorised", f"{status}: {message}", hint=hint)
    if status == 404:
        hint = "server.model is the name under which the server serves it, and url ends before /v1"
        raise RequestError("fatal", "no-such-model", message, hint=hint)
    if status == 429 or status == 503:
        raise RequestError("busy", f"http-{status}", message, after=retry_after(headers))
    if status >= 500:
        kind = "dead" if any(word in message for word in _DEAD) else "again"
        raise RequestError(kind, f"http-{status}", message, after=retry_after(headers))
    if status == 413 or any(words in message for words in _TOO_LONG):
        raise RequestError("too_long", "context-too-long", message)
    raise RequestError("never", f"http-{status}", message)


def error_message(body: bytes) -> str:
    """What a server says of an error, in a line."""
    try:
        error = orjson.loads(body)
        error = error.get("error", error) if isinstance(error, dict) else error
        text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    except ValueError:
        text = body.decode("utf-8", "replace")
    return " ".join(text.split())[:300]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(seconds, 0.0), MAX_WAIT_S) if math.isfinite(seconds) else None


def read_body(body: bytes, model: str) -> dict[str, Any]:
    """The JSON object of a reply by ``model``. Raises Trouble for anything else."""
    try:
        whole = orjson.loads(body)
    except ValueError:
        raise RequestError("garbage", "not-json", "the server's reply is not JSON") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("choices"), list):
        raise RequestError("garbage", "no-choices", "the server's reply holds no choices")
    if (name := whole.get("model")) is not None and name != model:
        hint = "pin the model on the server; labels of two models must not be mixed"
        message = f"the server answers as {str(name)[:100]!r}, not as {model!r}"
        raise RequestError("fatal", "model-changed", message, hint=hint, usage=read_usage(whole))
    return whole


def read_usage(whole: Mapping[str, Any]) -> Usage:
    """Tokens as the reply counts them; none where it does not say."""
    usage = whole.get("usage")
    if not isinstance(usage, dict):
        return Usage()
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else 0
    prompt, completion = (_count(usage.get(f"{part}_tokens")) for part in ("prompt", "completion"))
    return Usage(prompt, min(_count(cached), prompt), completion)


def _count(value: object) -> int:
    return value if isinstance(value, int) and 0 < value < MOST_TOKENS else 0


def first_choice(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises Trouble when there is none."""
    choice = body["choices"][0] if body["choices"] else None
    if not isinstance(choice, dict):
        raise RequestError(
            "garbage", "no-choices", "the reply has no choices", usage=read_usage(body)
        )
    return choice


def read_logprobs(
    choice: Mapping[str, Any], ids: Sequence[int], *, only_top: bool = True
) -> list[float]:
    """Natural-log probabilities of the tokens ``ids`` at the first generated position, by
    ``top_logprobs`` whose keys are ``token_id:…``; MISSING where the server did not tell, as one
    that names its likeliest tokens alone (``only_top``) may.

    Raises Trouble when there are none at all, and when a server that was to name all has not.
    """
    logprobs = choice.get("logprobs")
    tops = logprobs.get("top_logprobs") if isinstance(logprobs, dict) else None
    top = tops[0] if isinstance(tops, list) and tops else None
    if not isinstance(top, dict):
        raise RequestError(
            "garbage", "no-logprobs", "the server's reply holds no log probabilities"
        )
    keys = [f"token_id:{number}" for number in ids]
    if not only_top and not top.keys() >= set(keys):
        raise RequestError("garbage", "labels-missing", "the server did not tell of every label")
    found = [top.get(key) for key in keys]  # null stands for no probability at all
    return [float(v) if isinstance(v, int | float) else MISSING for v in found]
