"""From questions about texts to labels: writes the clerk's job, waits, and reads the store."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from classifiers.labelling.config import Budget
from classifiers.labelling.findings import stored_labels
from classifiers.labelling.hire import Progress, do_job
from classifiers.labelling.identity import Spec, model_name
from classifiers.labelling.job import Job, Pass, Told
from classifiers.labelling.prompts import document_id
from classifiers.labelling.rubric import Rubric
from classifiers.labelling.store import LabelStore, Stored, store_path
from classifiers.labelling.tokens import Truncation
from pipeline.fingerprint import digest


@dataclass(frozen=True)
class Question:
    """Texts that are asked about in one way."""

    texts: Sequence[str]
    limit: int
    repeat: int = 0
    reverse: bool = False


@dataclass(frozen=True)
class Terms:
    """On which terms is asked; see ``Job``."""

    keep: Truncation
    rationale_tokens: int
    least_mass: float
    most_errors: float
    most_at_once: int
    budget: Budget


def ask(
    server: Spec,
    rubric: Rubric,
    asked: Mapping[str, Question],
    terms: Terms,
    folder: Path,
    progress: Progress,
) -> tuple[Told, dict[str, list[Stored | None]]]:
    """What the store holds of every question, by purpose, once the clerk is done.

    ``folder`` is the manifest's. Raises ShardError with what the clerk could not do.
    """
    path = store_path()
    with tempfile.TemporaryDirectory(prefix="winnow-label-") as scratch:
        passes = tuple(
            _written(purpose, question, Path(scratch)) for purpose, question in asked.items()
        )
        job = Job(
            id=_job_id(server, rubric, asked, terms),
            store=path,
            folder=folder.resolve(),
            log=path.with_name("server.log"),
            rubric=rubric,
            server=server,
            keep=terms.keep,
            rationale_tokens=terms.rationale_tokens,
            least_mass=terms.least_mass,
            most_errors=terms.most_errors,
            most_at_once=terms.most_at_once,
            budget=terms.budget,
            passes=passes,
        )
        told = do_job(job, progress)
    store = LabelStore(path)
    stored = {
        part.purpose: stored_labels(
            store, told.judge, part.wording(job), asked[part.purpose].texts, part.repeat
        )
        for part in passes
    }
    store.close()
    return told, stored


def _written(purpose: str, question: Question, scratch: Path) -> Pass:
    file = scratch / f"{purpose}.parquet"
    pq.write_table(pa.table({"text": pa.array(question.texts, pa.large_string())}), file)
    return Pass(
        purpose=purpose,
        texts=file,
        repeat=question.repeat,
        reverse=question.reverse,
        limit=question.limit,
    )


def _job_id(server: Spec, rubric: Rubric, asked: Mapping[str, Question], terms: Terms) -> str:
    """The same for the same documents, asked the same way of the same model: its ledger goes on
    where an earlier try has ended."""
    documents = [
        [purpose, question.limit, question.repeat, question.reverse]
        + [document_id(text).hex() for text in question.texts]
        for purpose, question in asked.items()
    ]
    model = [model_name(server), server.revision, terms.keep, terms.rationale_tokens]
    return digest([model, rubric.digest, documents])[:32]
