"""Errors: what went wrong, and what to do next.

WinnowError            anything winnow itself reports; carries a code, a message and a hint
├── ManifestError      the manifest is wrong; holds every problem found (exit 2, nothing ran)
├── Refusal            the run may not start: locked, read-only, bad schema (exit 2, nothing ran)
└── ShardError         one shard cannot be processed; the others go on (exit 1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a manifest, before it is tied to a line.

    ``path`` leads to the value: ``("steps", 2, "minhash_dedup", "ngram")``. ``choices`` are the
    names that the value may have: where there is no other hint, one names the nearest of them.
    """

    path: tuple[str | int, ...]
    code: str
    message: str
    hint: str = ""
    choices: tuple[str, ...] = ()


class WinnowError(Exception):
    """Base of every error winnow raises on purpose."""

    exit_code = 1

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint

    # Exceptions cross process borders; without this only ``message`` would.
    def __reduce__(self) -> tuple[type[WinnowError], tuple[str, str, str]]:
        return type(self), (self.code, self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.code} {self.message}" + (f"\n  hint: {self.hint}" if self.hint else "")


class Refusal(WinnowError):
    """The run may not start; no work was done."""

    exit_code = 2


class ShardError(WinnowError):
    """This shard failed; it leaves no receipt and the run goes on without it."""


@dataclass(frozen=True)
class LocatedProblem:
    """A problem with its place in the manifest; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int
    code: str
    message: str
    snippet: str = ""
    hint: str = ""

    def __str__(self) -> str:
        head = f"{self.file}:{self.line}:{self.column} {self.code} {self.message}"
        if self.snippet:
            head += f"\n    {self.snippet}\n    {' ' * (self.column - 1)}^"
        return head + (f"\n  hint: {self.hint}" if self.hint else "")


class ManifestError(WinnowError):
    """The manifest is wrong. ``problems`` holds all of them, in file order."""

    exit_code = 2

    def __init__(self, problems: Sequence[LocatedProblem]) -> None:
        super().__init__("manifest", f"{len(problems)} problem(s) in the manifest")
        self.problems = list(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)
