"""What all judges have in common: documents in, answers out, errors of one kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

from classifiers.judges.answers import Answer, Label
from classifiers.judges.judge_identity import Wording


@dataclass(frozen=True)
class Usage:
    """Tokens by a server's own count; ``cached`` ones are among ``prompt``."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
        )

    def __sub__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt - other.prompt,
            self.cached - other.cached,
            self.completion - other.completion,
        )


@dataclass
class LabelRequest:
    """One document to be labelled, with what has happened to it so far.

    ``ids`` are its tokens between the marks (none for a judge that takes text). ``rationale_ids``
    (or ``rationale_text``) is a rationale that has been paid for already, and ``partial_labels``
    are labels of a judge that is asked attribute by attribute, when it has not answered all.
    """

    key: bytes
    text: str
    wording: Wording
    purpose: str = "document"
    repeat: int = 0
    ids: list[int] = field(default_factory=list)
    rationale_ids: list[int] | None = None
    rationale_text: str | None = None
    partial_labels: dict[str, Label] = field(default_factory=dict)
    shortened: bool = False
    is_sent: bool = False  # the store knows that a server may have it
    retried: bool = False  # an answer to it could not be used
    tries: int = 0
    deaths: int = 0
    paid: Usage = Usage()


ErrorKind = Literal["busy", "again", "garbage", "too_long", "refused", "dead", "fatal"]


class RequestError(Exception):
    """A request that brought no answer. ``kind`` says what to do about it:

    - ``busy``: ask again later, after ``after`` seconds if the server said so; ask less at once;
    - ``again``: ask again later (5xx, 408 and the like, time-outs, broken connections);
    - ``garbage``: ask once more, for the answer made no sense;
    - ``too_long``: cut the document and ask once more;
    - ``refused``: this run gets no answer about the document, a later one may;
    - ``dead``: the server is gone;
    - ``fatal``: nothing will be answered; ``hint`` says what to mend.
    """

    def __init__(
        self,
        kind: ErrorKind,
        code: str,
        message: str = "",
        *,
        after: float | None = None,
        hint: str = "",
        usage: Usage = Usage(),
    ) -> None:
        super().__init__(f"{code} {message}")
        self.kind, self.code, self.message = kind, code, message
        self.after, self.hint, self.usage = after, hint, usage


class Judge(Protocol):
    """A model that answers; one per server."""

    name: str

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        """The answer about one document and what it cost now. Raises RequestError."""

    async def check_labels(self, wording: Wording) -> Usage:
        """Find out whether it can answer, and how; what asking cost. Raises RequestError."""

    def estimate(self, request: LabelRequest) -> Usage:
        """The most that the next request about it is likely to take."""

    def shorten(self, request: LabelRequest) -> bool:
        """Cut the document to half its tokens; False when it cannot be cut (again)."""

    async def is_alive(self, failure: RequestError) -> bool:
        """Whether, after this error, it is worth asking again without ``restart``."""

    async def restart(self) -> None:
        """Start the server again. Raises a fatal RequestError when that is not possible."""
