"""Evaluation files: documents that are scored and come from no source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.mixing.targets import FileTarget
from winnow import ShardError, read_rows, sha256_file

# Fields that describe a row and are not its text.
_DESCRIBING = {"id", "url", "source", "task", "language", "date", "split", "license", "title"}


@dataclass(frozen=True)
class EvaluationDocument:
    """``text`` from character ``scored_from`` on is scored; what comes before is its context."""

    id: str
    text: str
    scored_from: int
    cluster: str

    @property
    def is_empty(self) -> bool:
        return not self.text[self.scored_from :].strip()


@dataclass(frozen=True)
class EvaluationFile:
    """The file that ``settings`` names, as it was when the run was planned."""

    target: str
    path: Path
    settings: FileTarget
    sha256: str

    def documents(self) -> Iterator[EvaluationDocument]:
        """Every row. ShardError when a row does not say what is scored, or the file has changed."""
        if sha256_file(self.path) != self.sha256:
            message = f"{self.settings.file} has changed since it was planned"
            raise ShardError("input-changed", message, "run again")
        for number, row in read_rows(self.path, self.settings.file):
            found = scored_text(row, self.settings)
            cluster = row.get(self.settings.cluster) if self.settings.cluster else ""
            if found is None or cluster is None:
                raise self._unclear(number, row)
            identity = str(row.get("id", number))
            yield EvaluationDocument(identity, *found, str(cluster))

    def _unclear(self, number: int, row: Mapping[str, Any]) -> ShardError:
        named = [
            name
            for name in (self.settings.score, self.settings.context, self.settings.cluster)
            if name is not None
        ]
        problem = f"has no text in {' or '.join(named)}" if named else "does not say what is scored"
        return ShardError(
            "evaluation-row",
            f"{self.settings.file}:{number} {problem}; its fields are {', '.join(row)}",
            f"name the field: {{file: {self.settings.file}, score: answer, context: question}}",
        )


def scored_text(row: Mapping[str, Any], settings: FileTarget) -> tuple[str, int] | None:
    """The text of a row and where in it the scored part begins; None when that is not clear."""
    if settings.score is not None:
        scored = _text(row, settings.score, settings.gold)
        before = _text(row, settings.context, settings.gold) if settings.context else ""
    elif isinstance(row.get("query"), str):
        answers = [name for name in ("answer", "continuation", "choices") if name in row]
        scored = _text(row, answers[0], "gold") if len(answers) == 1 else None
        before = row["query"]
    else:
        others = {k for k, v in row.items() if isinstance(v, str)} - _DESCRIBING - {"text"}
        scored, before = (None if others else row.get("text")), ""
    if not isinstance(scored, str) or before is None:
        return None
    # A space parts a question from its answer, and belongs to the answer as in other tokens.
    space = "" if not before or before[-1:].isspace() or scored[:1].isspace() else " "
    return before + space + scored, len(before)


def _text(row: Mapping[str, Any], name: str, gold: str) -> str | None:
    """The text of a field, of a list the right one."""
    value, right = row.get(name), row.get(gold)
    if isinstance(value, list):
        value = value[right] if isinstance(right, int) and 0 <= right < len(value) else None
    return value if isinstance(value, str) else None
