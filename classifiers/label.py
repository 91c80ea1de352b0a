"""Have a sample of documents judged by a large model, by a rubric, and measure the judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from classifiers.judges.judge_config import ServerSpec, Truncation
from classifiers.judges.judge_identity import model_fingerprint
from classifiers.judges.rubric import Rubric, load_rubric, rubric_path, shipped
from classifiers.labelling.label_config import Budget, Checks, SampleSpec
from winnow import (
    Column,
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
)

if TYPE_CHECKING:
    import pyarrow as pa

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
        yield from self._check_rubric()
        for path, server in self._servers().items():
            for found in server.check(view.folder):
                yield replace(found, path=(*path, *found.path))

    def _check_rubric(self) -> Iterator[Problem]:
        try:
            rubric = self.load_rubric()
        except OSError:
            return  # ``missing`` reports it
        except ManifestError as error:
            for found in error.problems:
                message = f"{found.file}:{found.line}:{found.column} {found.message}"
                yield Problem(("rubric",), found.code, message, found.hint)
            return
        gold = self.checks.gold
        if gold is not None and (gold.attribute or rubric.first) not in rubric.attributes:
            message = f"the rubric {rubric.name} has no attribute {gold.attribute}"
            place = ("checks", "gold", "attribute")
            yield Problem(place, "unknown-attribute", message, choices=tuple(rubric.attributes))

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

    def load_rubric(self) -> Rubric:
        """Raises ManifestError or OSError for what ``check`` finds."""
        return load_rubric(self.rubric, self._folder)

    def reads(self) -> Mapping[Location, Column]:
        score = self.sample.score
        return {("sample", "score"): Column(score, "numbers")} if score else {}

    def adds(self) -> dict[str, pa.DataType]:
        try:
            types = self.load_rubric().column_types()
        except (OSError, ManifestError):
            return {}
        return {self.prefix + name: kind for name, kind in types.items()}

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
        from classifiers.labelling.label_phases import strata_of

        return strata_of(docs, self.sample)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        from classifiers.labelling.label_phases import LabelledSample

        return LabelledSample(self, self._folder, reduce_input).write(folder)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        from classifiers.labelling.label_phases import append_labels

        return append_labels(docs, artifacts, at, self.load_rubric(), self.prefix)

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.label_section import sections

        return sections(label, metrics)
