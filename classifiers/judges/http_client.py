"""HTTP with a server: its address, what a reply means, and which kind of error."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import aiohttp
import orjson

from classifiers.judges.answers import MISSING
from classifiers.judges.judge import RequestError, Usage
from classifiers.judges.judge_identity import Wording

MAX_WAIT_S = 120.0  # the longest wait that a server may ask for; limits per minute end within it
MOST_TOKENS = 2**40  # of one request; what is more is no count of tokens
# The server has too much to do now: ask less at once.
BUSY = frozenset({429, 503})
# The request came at a bad moment, and the same one may be answered later: timeout, conflict,
# locked, too early (RFC 9110, 4918, 8470), and what proxies say of a broken connection.
TRANSIENT = frozenset({408, 409, 421, 423, 425, 449, 460, 499})
_MEASURED = re.compile(r"\b(contexts?|prompts?|inputs?|tokens?|sequences?)\b")
_EXCEEDED = re.compile(
    r"\b(exceed(s|ed|ing)?|too (long|large|many|big)|(long|larg|great|bigg)er than|more than"
    r"|(must|should) (be|have) (less|fewer|at most|no more)|maximum (context|model|input|sequence)"
    r"|context (length|size|window)|overflow(s|ed)?|out of context)\b"
    r"|must be <=?"
)
_OTHER = re.compile(r"logprob|vocab|temperature|top [kp]\b")  # parameters, or token ids
_DEAD = ("EngineCore", "EngineDead", "engine is dead")
# What servers that do not know logprob_token_ids give at most (vLLM before 0.26).
TOP = 20
# Shorter keys ("EMPTY", "x") are no secrets, and may be part of an honest answer.
SECRET = 8


class Connection:
    """A server's address with the session that talks to it. The key is never in an error."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str = "") -> None:
        self._session, self.url, self._key = session, url.rstrip("/"), key

    async def post(self, path: str, payload: Mapping[str, Any]) -> bytes:
        """The body of a reply with status 200. Raises RequestError for everything else."""
        return await self._exchange("POST", path, orjson.dumps(payload))

    async def get(self, path: str) -> bytes:
        return await self._exchange("GET", path, None)

    async def _exchange(self, method: str, path: str, data: bytes | None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            async with self._session.request(
                method,
                self.url + path,
                data=data,
                headers=headers,
                allow_redirects=False,  # another host would get the key and the documents
            ) as reply:
                body: bytes = await reply.read()
                check_status(reply.status, reply.headers, self._redacted(body))
                return self._redacted(body) if len(self._key) >= SECRET else body
        except TimeoutError:
            raise RequestError("again", "timeout", "no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            message = self._redacted(str(error).encode()).decode()
            raise RequestError("again", "unreachable", message[:200]) from None

    def _redacted(self, body: bytes) -> bytes:
        return body.replace(self._key.encode(), b"(key)") if self._key else body


def check_status(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raises the RequestError that a status other than 200 stands for."""
    if status == 200:
        return
    message = error_message(body)
    if status in (401, 403):
        hint = "set key_env to the environment variable with a key that this server takes"
        raise RequestError("fatal", "not-authorised", f"{status}: {message}", hint=hint)
    if status == 404:
        hint = "server.model is the name under which the server serves it, and url ends before /v1"
        raise RequestError("fatal", "no-such-model", message, hint=hint)
    code = f"http-{status}"
    if status in BUSY:
        raise RequestError("busy", code, message, after=_bounded_wait(headers))
    if status >= 500 and any(word in message for word in _DEAD):
        raise RequestError("dead", code, message, after=_bounded_wait(headers))
    if status == 413 or is_too_long(error_text(body)):
        raise RequestError("too_long", "context-too-long", message)
    if status >= 500 or status in TRANSIENT or retry_after(headers) is not None:
        raise RequestError("again", code, message, after=_bounded_wait(headers))
    raise RequestError("refused", code, message)


def is_too_long(text: str) -> bool:
    """Whether an error's words (``error_text``) say that a prompt has more tokens than fit.

    Servers word it in their own ways, so this looks for a class of sentences: something that can
    be long (context, prompt, input, tokens) and that it is more than allowed.
    """
    if "max tokens must be" in text:  # vLLM, when the prompt alone fills its context
        return True
    about_prompts = _MEASURED.search(text) and not _OTHER.search(text)
    return bool(about_prompts and _EXCEEDED.search(text))


def error_text(body: bytes) -> str:
    """All words of an error in small letters, its type and code included, with spaces for
    ``_`` and ``-``."""
    error = _error(body)
    parts = list(map(str, _values(error))) if isinstance(error, dict | list) else [str(error)]
    return " ".join(" ".join(parts).replace("_", " ").replace("-", " ").lower().split())


def error_message(body: bytes) -> str:
    """A server's own message of an error, in a line."""
    error = _error(body)
    text = str(error.get("message", error)) if isinstance(error, dict) else str(error)
    return " ".join(text.split())[:300]


def _error(body: bytes) -> Any:
    """The error of a reply: ``{"error": …}`` of OpenAI's protocol, else the whole reply."""
    try:
        whole = orjson.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    if not isinstance(whole, dict):
        return whole
    error = whole.get("error", whole)
    # {"error": "…", "error_type": "…"} of TGI keeps the type beside the error.
    return error if isinstance(error, dict) else {"message": error, **whole}


def _values(value: Any) -> Iterator[object]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _values(inner)
    else:
        yield value


def _bounded_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait. Raises a fatal RequestError when that is longer than a
    run waits: a quota that ends tomorrow is no reason to hold a machine until then."""
    seconds = retry_after(headers)
    if seconds is None or seconds <= MAX_WAIT_S:
        return seconds
    message = (
        f"the server asks to wait {seconds:,.0f} s (Retry-After), and a run waits {MAX_WAIT_S:g} s "
        "at most"
    )
    hint = "run again after that time: labels that are bought are kept"
    raise RequestError("fatal", "wait-too-long", message, hint=hint)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: a number, or a date (RFC 9110, 10.2.3). None where it
    does not say, or says nothing that can be understood."""
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
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def read_body(body: bytes, model: str) -> dict[str, Any]:
    """The JSON object of a reply by ``model``. Raises RequestError for anything else."""
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
    """Tokens as the reply counts them; none where it does not count them."""
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
    """Raises RequestError when the reply has none."""
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
    ``top_logprobs`` whose keys are ``token_id:…``; MISSING where the server did not report it,
    as one that names its likeliest tokens alone (``only_top``) may.

    Raises RequestError when there are none at all, and when a server that was to name all has not.
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
        raise RequestError("garbage", "labels-missing", "the server did not report every label")
    found = [top.get(key) for key in keys]  # null stands for no probability at all
    return [float(v) if isinstance(v, int | float) else MISSING for v in found]


def check_top(wording: Wording, usage: Usage) -> None:
    """Raises RequestError when the TOP likeliest tokens cannot be all labels of an attribute."""
    for name, attribute in wording.rubric.attributes.items():
        if len(attribute.labels) > TOP:
            message = (
                f"this server names its {TOP} likeliest tokens alone, and {name} has "
                f"{len(attribute.labels)} labels"
            )
            hint = "vLLM 0.26 or newer names any token; or take attributes with fewer labels"
            raise RequestError("fatal", "labels-not-reported", message, hint=hint, usage=usage)
