"""What an extension is: a part of the manifest beyond sources and steps, with stages of its own.

An extension's fields are top-level keys of the manifest. The engine finds extensions through the
entry points ``winnow.extensions`` and knows none by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, JsonValue

from pipeline.engine.stage import Stage, StageMaker
from pipeline.errors import Problem
from pipeline.report.blocks import ReportSection
from pipeline.step import ManifestView


@dataclass(frozen=True)
class BuildContext:
    """Where an extension builds its stages: on the documents that the steps left.

    ``corpus`` is the stage whose outputs under ``kept/`` are those documents, one Parquet file per
    task, in input order (sources as the manifest lists them, then files by name).
    ``make`` makes a stage (see ``StageMaker``).
    """

    view: ManifestView
    corpus: Stage
    make: StageMaker
    workers: int


class Extension(BaseModel):
    """Subclasses declare manifest keys as fields, all with defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def check(self, view: ManifestView) -> Iterator[Problem]:
        """Problems that only show beside the rest; paths start at the top of the manifest."""
        return iter(())

    def stages(self, context: BuildContext) -> list[Stage]:
        """The extension's stages in order; [] when the manifest does not ask for any."""
        return []

    def results(self, stages: Sequence[Stage]) -> dict[str, JsonValue]:
        """What goes into run_results.json, from the receipts of these stages alone."""
        return {}

    def report_sections(self, stages: Sequence[Stage]) -> list[ReportSection]:
        """What goes into the report, from committed outputs alone."""
        return []
