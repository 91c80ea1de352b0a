"""What two sides make of the same documents, compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class TaskResult(NamedTuple):
    """What becomes of one document.

    ``reason`` is "" for one that stays. ``text`` is a digest of the text it has then, None for one
    that is dropped, and ``value`` what else the filter says of it, None where it says nothing.
    ``error`` is the exception that was raised instead.
    """

    reason: str
    text: bytes | None = None
    value: Any = None
    error: str = ""


@dataclass
class Side:
    """``outcomes`` by position; ``seconds`` of CPU over ``documents``, ``megabytes`` of UTF-8.

    ``ids`` are of the documents in ``outcomes``.
    """

    outcomes: dict[int, TaskResult] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    documents: int = 0
    megabytes: float = 0.0
    seconds: float = 0.0

    @property
    def mb_s(self) -> float:
        return self.megabytes / max(self.seconds, 1e-9)

    def add(self, position: int, name: str, outcome: TaskResult) -> None:
        self.outcomes[position] = outcome
        self.ids[position] = name


def digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()


@dataclass
class Comparison:
    """Counts of documents on which both sides decided, and every difference.

    ``errors`` are documents on which the other side raised: it decided nothing, so they count
    neither as equal nor as compared.
    """

    filter: str
    documents: int = 0
    decisions: int = 0
    reasons: int = 0
    texts: int = 0
    values: int = 0
    differences: list[dict[str, str]] = field(default_factory=list)
    errors: list[dict[str, str]] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return not self.differences

    def shares(self) -> dict[str, float]:
        """Of the documents compared, from 0 to 1; 1 when there are none."""
        counts = {
            "decisions_equal": self.decisions,
            "reasons_equal": self.reasons,
            "texts_equal": self.texts,
            "values_equal": self.values,
        }
        return {
            name: count / self.documents if self.documents else 1.0
            for name, count in counts.items()
        }


def compare(name: str, ours: Mapping[int, TaskResult], theirs: Side) -> Comparison:
    """``ours`` must have every position that ``theirs`` has."""
    found = Comparison(name)
    for position, other in theirs.outcomes.items():
        mine, said = ours[position], theirs.ids[position]
        if other.error:
            told = {"filter": name, "id": said, "error": other.error}
            found.errors.append({**told, "ours": mine.reason or "kept"})
            continue
        found.documents += 1
        equal = {
            "decision": bool(mine.reason) == bool(other.reason),
            "reason": mine.reason == other.reason,
            "text": mine.text == other.text,
            "value": mine.value == other.value,
        }
        found.decisions += equal["decision"]
        found.reasons += equal["reason"]
        found.texts += equal["text"]
        found.values += equal["value"]
        if not all(equal.values()):
            found.differences.append(
                {
                    "filter": name,
                    "id": said,
                    "differs": ", ".join(part for part, same in equal.items() if not same),
                    "ours": mine.reason or "kept",
                    "theirs": other.reason or "kept",
                }
            )
    return found
