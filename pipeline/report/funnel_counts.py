"""What became of every document, added up from the receipts of a run's document stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from pipeline.engine.results import stage_counts
from pipeline.engine.stage import QUARANTINE, Count, Counts, Receipt, Stage
from pipeline.shard_documents import ShardDocuments


@dataclass(frozen=True)
class StepLine:
    """One step: what reached it, what it dropped by reason, and what was left after it (which
    holds fewer bytes than entered less dropped when the step edits texts)."""

    label: str
    entered: Count
    reasons: Mapping[str, Count]
    left: Count

    @property
    def dropped(self) -> Count:
        return total(self.reasons.values())

    def ranked(self) -> list[tuple[str, Count]]:
        """Reasons with what they dropped, the most frequent first."""
        return sorted(self.reasons.items(), key=lambda item: (-item[1].documents, item[0]))


@dataclass(frozen=True)
class FunnelCounts:
    """The run so far. ``rows`` is what the readers met, ``missing`` how many tasks have no receipt
    (their documents are not in any of these numbers)."""

    rows: int
    expanded: int
    read: Count
    steps: tuple[StepLine, ...]
    kept: Count
    kept_by_source: Mapping[str, Count]
    quarantined: Mapping[str, int]
    missing: int
    metrics: tuple[tuple[str, Mapping[str, JsonValue]], ...]
    kept_shards: tuple[ShardDocuments, ...]
    _stages: tuple[tuple[Stage, list[Receipt]], ...]

    @classmethod
    def of(cls, stages: Sequence[Stage]) -> FunnelCounts:
        """From the stages that read and filter documents, in their order."""
        read = [(stage, stage.outputs.receipts()) for stage in stages]
        sums = [(stage, stage_counts(stage)) for stage in stages]
        counted = [(stage, counts) for stage, counts in sums if counts is not None]
        first = counted[0][1] if counted else Counts()
        last_stage, last = counted[-1] if counted else (None, Counts())
        steps = tuple(line for stage, counts in counted for line in _lines(stage, counts))
        quarantined: Counter[str] = Counter()
        for _, counts in counted:
            quarantined.update(counts.quarantined)
        return cls(
            rows=first.rows,
            expanded=sum(counts.expanded for _, counts in counted),
            read=steps[0].entered if first.entered and steps else first.kept,
            steps=steps,
            kept=last.kept,
            kept_by_source=last.by_source,
            quarantined=dict(sorted(quarantined.items())),
            missing=sum(len(stage.tasks) - len(receipts) for stage, receipts in read),
            metrics=tuple(
                (stage.name, receipt.metrics)
                for stage, receipts in read
                for receipt in receipts
                if receipt.metrics
            ),
            kept_shards=tuple(
                stage.corpus.shard(receipt.key)
                for stage, receipts in read
                if stage is last_stage
                for receipt in receipts
            ),
            _stages=tuple(read),
        )

    def quarantine_files(self) -> list[Path]:
        """Files of quarantined rows of all stages, in order."""
        return [
            stage.outputs.folder(receipt.key) / output.path
            for stage, receipts in self._stages
            for receipt in receipts
            for output in receipt.outputs
            if output.path.startswith(QUARANTINE)
        ]

    def dropped_shards(self) -> list[ShardDocuments]:
        """Documents that went, with step, reason and signals, of all stages in order."""
        return [
            documents
            for stage, receipts in self._stages
            for receipt in receipts
            for documents in stage.dropped(receipt.key)
        ]


def total(parts: Iterable[Count]) -> Count:
    return sum(parts, Count())


def _lines(stage: Stage, counts: Counts) -> list[StepLine]:
    labels = [label for label in stage.steps if label in counts.entered]
    labels += sorted(counts.entered.keys() - set(labels))
    lines = []
    left = counts.kept
    for label in reversed(labels):
        entered = counts.entered[label]
        lines.append(StepLine(label, entered, counts.dropped.get(label, {}), left))
        left = entered
    return lines[::-1]
