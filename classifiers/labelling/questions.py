"""From questions about texts to labels: has a labelling worker answer them, reads the store."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classifiers.judges.judge_config import Truncation
from classifiers.judges.judge_identity import Spec, model_name
from classifiers.judges.judge_tokenizer import CHARACTERS_PER_TOKEN
from classifiers.judges.prompts import document_id
from classifiers.judges.rubric import Rubric
from classifiers.labelling.label_columns import has_words, stored_labels
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import LabelStore, Stored, store_path
from classifiers.labelling.labelling_job import Job, Pass, Progress, WorkerStatus, run_job
from winnow import digest


@dataclass(frozen=True)
class Question:
    """Texts that are asked about in one way."""

    texts: Sequence[str]
    limit: int
    repeat: int = 0
    reverse: bool = False


@dataclass(frozen=True)
class LabellingSettings:
    """How is asked, and for how much; see ``Job``."""

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
    settings: LabellingSettings,
    folder: Path,
    progress: Progress,
) -> tuple[WorkerStatus, dict[str, list[Stored | None]]]:
    """What the store holds of every question, by purpose, once the worker is done; None for texts
    without any word, about which no judge is asked.

    ``folder`` is the manifest's. Raises ShardError with what the worker could not do.
    """
    stored: dict[str, list[Stored | None]] = {
        purpose: [None] * len(question.texts) for purpose, question in asked.items()
    }
    worded = {
        purpose: replace(question, texts=list(filter(has_words, question.texts)))
        for purpose, question in asked.items()
    }
    worded = {purpose: question for purpose, question in worded.items() if question.texts}
    if not worded:
        return WorkerStatus(ended=True), stored
    path = store_path()
    with tempfile.TemporaryDirectory(prefix="winnow-label-") as scratch:
        passes = tuple(
            _written(purpose, question, Path(scratch)) for purpose, question in worded.items()
        )
        job = Job(
            id=_job_id(server, rubric, worded, settings),
            store=path,
            folder=folder.resolve(),
            log=path.with_name("server.log"),
            rubric=rubric,
            server=server,
            keep=settings.keep,
            rationale_tokens=settings.rationale_tokens,
            least_mass=settings.least_mass,
            most_errors=settings.most_errors,
            most_at_once=settings.most_at_once,
            budget=settings.budget,
            passes=passes,
        )
        status = run_job(job, progress)
    with closing(LabelStore(path)) as store:
        for part in passes:
            texts = asked[part.purpose].texts
            stored[part.purpose] = stored_labels(
                store, status.judge, part.wording(job), texts, part.repeat
            )
    return status, stored


def shortened(text: pa.ChunkedArray, limit: int, keep: Truncation) -> pa.ChunkedArray:
    """What may be read of texts [n] when at most ``limit`` tokens are: book-length documents are
    neither kept in memory nor hashed as a whole."""
    most = limit * CHARACTERS_PER_TOKEN
    if keep == "head":
        return pc.utf8_slice_codeunits(text, 0, most)
    head, tail = (
        pc.utf8_slice_codeunits(text, 0, most // 2),
        pc.utf8_slice_codeunits(text, -(most // 2)),
    )
    both = pc.binary_join_element_wise(head, tail, pa.scalar("", pa.large_string()))
    return pc.if_else(pc.greater(pc.utf8_length(text), most), both, text)


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


def _job_id(
    server: Spec, rubric: Rubric, asked: Mapping[str, Question], settings: LabellingSettings
) -> str:
    """The same for the same documents, asked the same way of the same model: its ledger goes on
    where an earlier try has ended."""
    documents = [
        [purpose, question.limit, question.repeat, question.reverse]
        + [document_id(text).hex() for text in question.texts]
        for purpose, question in asked.items()
    ]
    model = [model_name(server), server.revision, settings.keep, settings.rationale_tokens]
    return digest([model, rubric.digest, documents])[:32]
