"""Have a sample of documents judged by a large model, by a rubric, and measure the judge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from classifiers.agreement.label_agreement import AgreementMetrics
from classifiers.judges.answers import Answer
from classifiers.judges.judge_identity import model_fingerprint, model_name
from classifiers.judges.judge_tokenizer import Truncation
from classifiers.judges.rubric import Rubric, load_rubric, rubric_path, shipped
from classifiers.labelling import judge_checks as checking
from classifiers.labelling.gold_labels import Gold, attribute_of, read_gold
from classifiers.labelling.label_columns import (
    EMPTY,
    LABELS,
    answers_of,
    columns_for,
    has_words,
    write_labels,
)
from classifiers.labelling.label_config import Budget, Checks, SampleSpec, ServerSpec
from classifiers.labelling.label_store import Stored
from classifiers.labelling.labelling_job import Progress, WorkerStatus
from classifiers.labelling.questions import LabellingSettings, Question, ask, shortened
from classifiers.labelling.request_loop import FEW_ERRORS, too_many_errors
from classifiers.sampling.hash_sampling import place_hash, read_rows
from classifiers.sampling.stratified_sampling import Sample, stratified
from classifiers.scores.score_columns import check_columns, group_column, score_column
from winnow import (
    DOCUMENT_SCHEMA,
    Docs,
    FilterResult,
    GlobalStep,
    Location,
    ManifestError,
    ManifestView,
    NamesFiles,
    Position,
    Problem,
    ReduceInput,
    ReportSection,
    ShardError,
)

CARD = "card.json"
# What says how much and where is asked, and decides no label. ``max_errors`` is not among it: a
# lower one must be able to fail a stage that is done.
UNDECIDING = ("max_concurrency", "budget")
UNDECIDING_OF_SERVERS = ("url", "key_env", "command", "device", "price")


class Label(NamesFiles, GlobalStep):
    """Append labels of a large model to a sample of the documents.

    Nothing is dropped. A sampled document gets, for every attribute of the rubric, a column with
    its score (or category) and one with the probabilities; the others get nulls. Labels are kept
    in a store that all runs share: what was asked once is never paid again.
    """

    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"sample"})

    rubric: str = Field(
        default="educational_value",
        min_length=1,
        description="name of a rubric that comes along, or a YAML file beside the manifest",
    )
    server: ServerSpec = Field(description="the judge")
    prefix: str = Field(
        default="",
        pattern=r"^([A-Za-z][A-Za-z0-9_]*)?$",
        description="put before the names of columns, to tell judges apart",
    )
    mode: Literal["expectation", "rationale"] = Field(
        default="expectation",
        description="the expected answer from one reading, or reasons first and then the same",
    )
    rationale_tokens: int = Field(default=200, ge=1, description="most tokens of a rationale")
    sample: SampleSpec = Field(default=SampleSpec(), description="which documents are judged")
    max_tokens: int = Field(default=2_048, ge=32, description="most tokens of a document")
    truncate: Truncation = Field(
        default="head", description="what is kept of a longer document: its head, or both ends"
    )
    min_mass: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="least probability that all labels together must have had",
    )
    max_errors: float = Field(
        default=0.05, ge=0, le=1, description="share of documents without a label that ends the run"
    )
    max_concurrency: int = Field(
        default=256, ge=1, description="most documents under way at once, per server"
    )
    budget: Budget = Field(default=Budget(), description="where paying ends")
    checks: Checks = Field(default=Checks(), description="what is measured about the judge")
    seed: int | None = Field(
        default=None, ge=0, lt=2**32, description="seed of the sample; by default the manifest's"
    )

    # --- the manifest ---

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from super().check(view)
        yield from self._check_rubric(view)
        for path, server in self._servers().items():
            for found in server.check(view.folder):
                yield Problem((*path, *found.path), found.code, found.message, found.hint)
        if self.sample.score:
            yield from check_columns(view, [(("sample", "score"), self.sample.score)])

    def _check_rubric(self, view: ManifestView) -> Iterator[Problem]:
        try:
            rubric = self._rubric()
        except OSError:
            return  # said by ``missing``
        except ManifestError as error:
            for found in error.problems:
                message = f"{found.file}:{found.line}:{found.column} {found.message}"
                yield Problem(("rubric",), found.code, message, found.hint)
            return
        for name in self.adds():
            if name in (*DOCUMENT_SCHEMA.names, *view.columns):
                message = f"documents already have a column {name}"
                yield Problem(("rubric",), "column-exists", message, "tell them apart by prefix: …")
        gold = self.checks.gold
        if gold is not None and attribute_of(gold, rubric) not in rubric.attributes:
            message = f"the rubric {rubric.name} has no attribute {gold.attribute}"
            hint = f"its attributes: {', '.join(rubric.attributes)}"
            yield Problem(("checks", "gold", "attribute"), "unknown-attribute", message, hint)

    def files(self) -> Mapping[Location, Path]:
        named: dict[Location, Path] = {("rubric",): rubric_path(self.rubric, self._folder)}
        if self.checks.gold is not None:
            named[("checks", "gold", "path")] = self.located(Path(self.checks.gold.path))
        return named

    def missing(self, place: Location, path: Path) -> Problem:
        if place != ("rubric",):
            return super().missing(place, path)
        message = f"there is no rubric '{self.rubric}'"
        hint = (
            f"one that comes along ({', '.join(shipped())}), or a path from the manifest's folder"
        )
        return Problem(place, "no-rubric", message, hint)

    def _rubric(self) -> Rubric:
        return load_rubric(self.rubric, self._folder)

    def adds(self) -> tuple[str, ...]:
        try:
            return tuple(self.prefix + name for name in self._rubric().columns())
        except (OSError, ManifestError):
            return ()

    @model_serializer(mode="wrap", when_used="json")
    def _what_decides(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What fingerprints are made of: what decides labels, with the models that are in folders
        of their own. So another address or a higher budget keeps what is done, and addresses,
        which may come from the environment, are in no receipt."""
        values: dict[str, Any] = self._with_contents(handler)
        values = {name: value for name, value in values.items() if name not in UNDECIDING}
        for path, server in self._servers().items():
            *above, name = path
            outer = values[above[0]] if above else values
            outer[name] = {k: v for k, v in outer[name].items() if k not in UNDECIDING_OF_SERVERS}
            if not server.revision and (fingerprint := model_fingerprint(server, self._folder)):
                outer[name]["contents"] = fingerprint
        return values

    def _servers(self) -> dict[tuple[str, ...], ServerSpec]:
        servers: dict[tuple[str, ...], ServerSpec] = {("server",): self.server}
        if self.checks.other_judge is not None:
            servers["checks", "other_judge"] = self.checks.other_judge
        return servers

    # --- the three phases ---

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``stratum`` [rows], ``hash`` [rows] of the place and, if strata are split by one,
        ``score`` [rows]."""
        parts = []
        for by in self.sample.by:
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
        if self.sample.score:
            columns["score"] = score_column(docs, self.sample.score)
        return pa.RecordBatch.from_pydict(columns)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        seed = reduce_input.seed if self.seed is None else self.seed
        rubric = self._rubric()
        gold = self._gold(rubric)
        sample, texts, sources = self._sampled(reduce_input, seed)
        injected = self._injected(texts, rubric, seed)
        asked = checking.questions(texts, gold, injected, self.checks, self.max_tokens)
        progress = reduce_input.progress
        status, stored = ask(self.server, rubric, asked, self._settings(), self._folder, progress)
        answers = {k: self._answers(asked[k], found) for k, found in stored.items()}
        self._check_errors(answers["document"], rubric)
        write_labels(folder / LABELS, rubric, sample, answers["document"])
        checked = checking.CheckedAnswers(
            answers=answers,
            other=self._other(rubric, texts, gold, progress),
            gold=gold,
            gold_attribute=attribute_of(self.checks.gold, rubric) if self.checks.gold else "",
            injected=injected,
            sources=sources,
            threshold=self.checks.gold.threshold if self.checks.gold else None,
            seed=seed,
        )
        metrics = {
            "judge": {"model": model_name(self.server), "revision": status.revision[:16]},
            "rubric": {"name": rubric.name, "version": rubric.version, "digest": rubric.digest},
            "mode": self.mode,
            "seed": seed,
            "strata": len(sample.names),
            "errors": _errors(answers["document"], rubric),
            "cost": _cost(stored),
            "agreement": self._agreement(rubric, status, checked),
        }
        return _card(folder / CARD, metrics)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        found = columns_for(artifacts / LABELS, self._rubric(), at.shard, at.row, len(docs))
        columns = {self.prefix + name: values for name, values in found.items()}
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns=columns)

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.label_section import sections

        return sections(label, metrics)

    # --- asking ---

    def _sampled(self, reduce_input: ReduceInput, seed: int) -> tuple[Sample, list[str], list[str]]:
        """The sample, and texts and sources [n] of its documents."""
        wanted = self.sample
        sample = stratified(reduce_input.mapped, wanted.documents, wanted.allocation, seed)
        shorten = partial(shortened, limit=self.max_tokens, keep=self.truncate)
        rows = read_rows(reduce_input.documents, sample.places, ["text", "source"], shorten)
        return sample, rows["text"].to_pylist(), rows["source"].to_pylist()

    def _injected(
        self, texts: Sequence[str], rubric: Rubric, seed: int
    ) -> list[checking.InjectedDocument]:
        first = next(iter(rubric.attributes.values()))
        ground = [text for text in texts if has_words(text)][: self.checks.injection_probes]
        return checking.inject_probes(ground, first, self.max_tokens, seed)

    def _answers(self, question: Question, stored: Sequence[Stored | None]) -> list[Answer]:
        return answers_of(question.texts, stored, self.min_mass)

    def _gold(self, rubric: Rubric) -> Gold | None:
        spec = self.checks.gold
        if spec is None:
            return None
        return read_gold(spec, self._folder, rubric.attributes[attribute_of(spec, rubric)])

    def _check_errors(self, answers: Sequence[Answer], rubric: Rubric) -> None:
        """Labels of an earlier run may be errors too: the clerk looks at what it asks itself.

        Documents without any word are nobody's fault.
        """
        read = [answer for answer in answers if answer.errors.get("") != EMPTY]
        bad = sum(any(answer.error(name) for name in rubric.attributes) for answer in read)
        if bad > max(FEW_ERRORS, self.max_errors * len(read)):
            raise ShardError(*too_many_errors(bad, len(read), _errors(read, rubric)))

    def _other(
        self, rubric: Rubric, texts: Sequence[str], gold: Gold | None, progress: Progress
    ) -> list[Answer]:
        if self.checks.other_judge is None:
            return []
        asked = {"other": checking.other_question(texts, gold, self.max_tokens)}
        judge, settings = self.checks.other_judge, self._settings()
        _, stored = ask(judge, rubric, asked, settings, self._folder, progress)
        return self._answers(asked["other"], stored["other"])

    def _settings(self) -> LabellingSettings:
        return LabellingSettings(
            keep=self.truncate,
            rationale_tokens=self.rationale_tokens if self.mode == "rationale" else 0,
            least_mass=self.min_mass,
            most_errors=self.max_errors,
            most_at_once=self.max_concurrency,
            budget=self.budget,
        )

    def _agreement(
        self, rubric: Rubric, status: WorkerStatus, checked: checking.CheckedAnswers
    ) -> AgreementMetrics:
        metrics = AgreementMetrics(
            judge=f"{model_name(self.server)} {status.revision[:8]}".strip(),
            rubric=f"{rubric.name} {rubric.version}",
            attributes={
                name: checking.attribute_metrics(name, rubric, checked)
                for name in rubric.attributes
            },
        )
        if self.checks.other_judge is not None:
            metrics["other_judge"] = model_name(self.checks.other_judge)
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
