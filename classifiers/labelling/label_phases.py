"""The phases of the step ``label``: strata of documents, labels of a sample, labels as columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from classifiers.agreement.label_agreement import AgreementMetrics, warnings_about
from classifiers.judges.answers import Answer
from classifiers.judges.judge_identity import model_name
from classifiers.judges.rubric import Rubric
from classifiers.labelling.gold_labels import Gold, read_gold
from classifiers.labelling.judge_checks import (
    CheckedAnswers,
    InjectedDocument,
    attribute_metrics,
    inject_probes,
    other_question,
    questions,
)
from classifiers.labelling.label_columns import (
    EMPTY,
    LABELS,
    answers_of,
    columns_for,
    has_words,
    write_labels,
)
from classifiers.labelling.label_config import SampleSpec
from classifiers.labelling.label_store import Stored
from classifiers.labelling.labelling_job import WorkerStatus
from classifiers.labelling.questions import LabellingSettings, Question, ask, shortened
from classifiers.labelling.request_loop import FEW_ERRORS, too_many_errors
from classifiers.sampling.hash_sampling import place_hash, read_rows
from classifiers.sampling.stratified_sampling import Sample, stratified
from classifiers.scores.score_columns import group_column, score_column
from winnow import Docs, FilterResult, Position, ReduceInput, ShardError

if TYPE_CHECKING:
    from classifiers.label import Label

CARD = "card.json"


def strata_of(docs: Docs, sample: SampleSpec) -> pa.RecordBatch:
    """``stratum`` [rows], ``hash`` [rows] of the place and, if strata are split by one,
    ``score`` [rows]."""
    parts = []
    for by in sample.by:
        if by == "length":
            size = np.maximum(pc.binary_length(docs.text).to_numpy(), 1)
            exponent = np.floor(np.log2(size) / 2).astype(np.int64)
            parts.append(pc.cast(pa.array(4**exponent), pa.large_string()))
        else:
            parts.append(pc.fill_null(group_column(docs, by), f"no {by}"))
    names = (
        pc.binary_join_element_wise(*parts, pa.scalar(" · ", pa.large_string()))
        if parts
        else pa.array(["all"] * len(docs), pa.large_string())
    )
    columns = {
        "stratum": names,
        "hash": pa.array(place_hash(docs.column("_source"), docs.column("_offset"))),
    }
    if sample.score:
        columns["score"] = score_column(docs, sample.score)
    return pa.RecordBatch.from_pydict(columns)


def append_labels(
    docs: Docs, artifacts: Path, at: Position, rubric: Rubric, prefix: str
) -> FilterResult:
    """Every document is kept; sampled ones get their labels, the others nulls."""
    found = columns_for(artifacts / LABELS, rubric, at.shard, at.row, len(docs))
    columns = {prefix + name: values for name, values in found.items()}
    return FilterResult(np.ones(len(docs), dtype=np.bool_), columns=columns)


class LabelledSample:
    """Has a sample labelled as ``step`` says, and measures the judge; ``folder`` is the manifest's.

    Raises ShardError when labels cannot be had, or too few documents got one.
    """

    def __init__(self, step: Label, folder: Path, reduce_input: ReduceInput) -> None:
        self._step, self._folder, self._input = step, folder, reduce_input
        self._seed = reduce_input.seed if step.seed is None else step.seed
        self._rubric = step.load_rubric()
        self._gold = self._read_gold()

    def write(self, artifacts: Path) -> dict[str, Any]:
        """Labels and what is known of them, as files in ``artifacts``; the metrics."""
        step, rubric = self._step, self._rubric
        sample, texts, sources = self._sampled()
        injected = self._injected(texts)
        asked = questions(texts, self._gold, injected, step.checks, step.max_tokens)
        status, stored = ask(
            step.server, rubric, asked, self._settings(), self._folder, self._input.progress
        )
        answers = {k: self._answers(asked[k], found) for k, found in stored.items()}
        self._check_errors(answers["document"])
        write_labels(artifacts / LABELS, rubric, sample, answers["document"])
        gold = step.checks.gold
        checked = CheckedAnswers(
            answers=answers,
            other=self._other(texts),
            gold=self._gold,
            gold_attribute=(gold.attribute or rubric.first) if gold else "",
            injected=injected,
            sources=sources,
            threshold=gold.threshold if gold else None,
            seed=self._seed,
        )
        agreement = self._agreement(status, checked)
        found = [w for name, a in agreement["attributes"].items() for w in warnings_about(name, a)]
        metrics = {
            "judge": {"model": model_name(step.server), "revision": status.revision[:16]},
            "rubric": {"name": rubric.name, "version": rubric.version, "digest": rubric.digest},
            "mode": step.mode,
            "seed": self._seed,
            "strata": len(sample.names),
            "errors": _errors(answers["document"], rubric),
            "cost": _cost(stored),
            "agreement": agreement,
            **({"warnings": found} if found else {}),
        }
        return _card(artifacts / CARD, metrics)

    def _sampled(self) -> tuple[Sample, list[str], list[str]]:
        """The sample, and texts and sources [n] of its documents."""
        step = self._step
        wanted = step.sample
        sample = stratified(self._input.mapped, wanted.documents, wanted.allocation, self._seed)
        shorten = partial(shortened, limit=step.max_tokens, keep=step.truncate)
        rows = read_rows(self._input.documents, sample.places, ["text", "source"], shorten)
        return sample, rows["text"].to_pylist(), rows["source"].to_pylist()

    def _injected(self, texts: Sequence[str]) -> list[InjectedDocument]:
        first = self._rubric.attributes[self._rubric.first]
        ground = [text for text in texts if has_words(text)]
        chosen = ground[: self._step.checks.injection_probes]
        return inject_probes(chosen, first, self._step.max_tokens, self._seed)

    def _answers(self, question: Question, stored: Sequence[Stored | None]) -> list[Answer]:
        return answers_of(question.texts, stored, self._step.min_mass)

    def _read_gold(self) -> Gold | None:
        spec = self._step.checks.gold
        if spec is None:
            return None
        attribute = self._rubric.attributes[spec.attribute or self._rubric.first]
        return read_gold(spec, self._folder, attribute)

    def _check_errors(self, answers: Sequence[Answer]) -> None:
        """Labels of an earlier run may be errors too; the worker counts those of its own requests.

        Documents without any word count for nothing.
        """
        read = [answer for answer in answers if answer.errors.get("") != EMPTY]
        bad = sum(any(answer.error(name) for name in self._rubric.attributes) for answer in read)
        if bad > max(FEW_ERRORS, self._step.max_errors * len(read)):
            raise ShardError(*too_many_errors(bad, len(read), _errors(read, self._rubric)))

    def _other(self, texts: Sequence[str]) -> list[Answer]:
        judge = self._step.checks.other_judge
        if judge is None:
            return []
        asked = {"other": other_question(texts, self._gold, self._step.max_tokens)}
        _, stored = ask(
            judge, self._rubric, asked, self._settings(), self._folder, self._input.progress
        )
        return self._answers(asked["other"], stored["other"])

    def _settings(self) -> LabellingSettings:
        step = self._step
        return LabellingSettings(
            keep=step.truncate,
            rationale_tokens=step.rationale_tokens if step.mode == "rationale" else 0,
            least_mass=step.min_mass,
            most_errors=step.max_errors,
            most_at_once=step.max_concurrency,
            budget=step.budget,
        )

    def _agreement(self, status: WorkerStatus, checked: CheckedAnswers) -> AgreementMetrics:
        rubric, step = self._rubric, self._step
        metrics = AgreementMetrics(
            judge=f"{model_name(step.server)} {status.revision[:8]}".strip(),
            rubric=f"{rubric.name} {rubric.version}",
            attributes={
                name: attribute_metrics(name, rubric, checked) for name in rubric.attributes
            },
        )
        if step.checks.other_judge is not None:
            metrics["other_judge"] = model_name(step.checks.other_judge)
        return metrics


def _errors(answers: Sequence[Answer], rubric: Rubric) -> dict[str, int]:
    """Documents without a label of some attribute, by code."""
    counts: Counter[str] = Counter()
    for answer in answers:
        counts.update({answer.error(name) for name in rubric.attributes} - {""})
    return dict(sorted(counts.items()))


def _card(path: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Write metrics as JSON; the same as they will be read."""
    text = orjson.dumps(metrics, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
    path.write_bytes(text + b"\n")
    card: dict[str, Any] = orjson.loads(text)
    return card


def _cost(stored: Mapping[str, Sequence[Stored | None]]) -> dict[str, int]:
    """Tokens that these labels have cost, whenever that was; each label once."""
    labels = {label.key: label for found in stored.values() for label in found if label}
    return {
        "labels": len(labels),
        "prompt_tokens": sum(label.prompt_tokens for label in labels.values()),
        "completion_tokens": sum(label.completion_tokens for label in labels.values()),
    }
