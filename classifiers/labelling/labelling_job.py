"""What the clerk is told and what it tells, as lines of JSON."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from classifiers.judges.judge_identity import Wording
from classifiers.judges.judge_tokenizer import Truncation
from classifiers.judges.rubric import Rubric
from classifiers.labelling.label_config import Budget, ServerSpec


class Pass(BaseModel):
    """Documents that are asked about in one way: a Parquet file with a column ``text``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str = "document"
    texts: Path
    repeat: int = 0
    reverse: bool = False
    limit: int

    def wording(self, job: Job) -> Wording:
        """How the pass asks."""
        tokens = job.rationale_tokens
        return Wording(job.rubric, self.limit, job.keep, tokens, self.reverse)


class Job(BaseModel):
    """Everything that the clerk needs. ``id`` is the same for the same documents and request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    store: Path
    folder: Path = Field(description="the manifest's, from which paths are meant")
    log: Path = Field(description="where the server's output goes")
    rubric: Rubric
    server: ServerSpec
    keep: Truncation
    rationale_tokens: int
    least_mass: float
    most_errors: float
    most_at_once: int
    budget: Budget
    passes: tuple[Pass, ...]


class WorkerStatus(BaseModel):
    """A line of the clerk: progress, or the end. ``judge`` names it in the store; ``code`` is
    empty when all is well."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    done: int = 0
    total: int = 0
    ended: bool = False
    judge: str = ""
    revision: str = ""
    from_store: int = 0
    lost: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""
