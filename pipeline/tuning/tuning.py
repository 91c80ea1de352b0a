"""What thresholds do to documents that are measured: who removes what, alone and together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.documents import BoolArray
from pipeline.errors import Refusal
from pipeline.manifest import Manifest, NamedStep, load_manifest
from pipeline.report.format import said
from pipeline.step import RowStep, Rule, ThresholdFilter
from pipeline.tuning.measuring import global_steps, left_out, measured_stage, measuring_manifest
from pipeline.tuning.signals import REASON
from pipeline.tuning.stored import Measurements, read_measurements

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Ruling:
    """One rule over all documents: ``broken`` [rows] by whom. A step that is no ThresholdFilter has
    one ruling per reason it gave, whose rule has no signal."""

    step: str
    rule: Rule
    broken: BoolArray

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What is the same rule under other thresholds."""
        return self.step, self.rule.reason, self.rule.signal, self.rule.parameter

    @property
    def signal(self) -> str:
        """Name of the column, "" where there is none."""
        return f"{self.step}.{self.rule.signal}" if self.rule.signal else ""

    @property
    def limits(self) -> list[tuple[str, float]]:
        """(sign, limit) of what stays: ``("≥", 50)``."""
        pairs = (("≥", self.rule.least), ("≤", self.rule.most))
        return [(sign, value) for sign, value in pairs if value is not None]

    @property
    def limit(self) -> str:
        """What stays, in words; "" where there is no limit."""
        shown = [f"{sign} {said(value)}" for sign, value in self.limits]
        return ", ".join(shown) or ("measured" if self.rule.defined else "")


@dataclass(frozen=True)
class Filter:
    """One row step over all documents. ``thresholds`` tells whether it can be tuned."""

    label: str
    rulings: tuple[Ruling, ...]
    removed: BoolArray
    thresholds: bool


@dataclass(frozen=True)
class Judgement:
    """All filters under one set of thresholds."""

    filters: tuple[Filter, ...]
    rows: int

    @cached_property
    def removers(self) -> Counts:
        """How many filters [rows] remove each document."""
        return _count((found.removed for found in self.filters), self.rows)

    @cached_property
    def breaches(self) -> Counts:
        """How many rules [rows] each document breaks, over all filters."""
        return _count((ruling.broken for ruling in self.rulings()), self.rows)

    @property
    def kept(self) -> BoolArray:
        return np.equal(self.removers, 0)

    def rulings(self) -> Iterator[Ruling]:
        for found in self.filters:
            yield from found.rulings

    def alone(self, found: Filter) -> BoolArray:
        """Documents [rows] that would be kept if this filter were off."""
        return found.removed & np.equal(self.removers, 1)

    def alone_for(self, ruling: Ruling) -> BoolArray:
        """Documents [rows] that would be kept if this rule were off."""
        return ruling.broken & np.equal(self.breaches, 1)

    def in_order(self) -> Iterator[tuple[Filter, BoolArray]]:
        """Each filter with the documents [rows] that reach it and that it drops."""
        left = np.ones(self.rows, dtype=np.bool_)
        for found in self.filters:
            yield found, left & found.removed
            left = left & ~found.removed


@dataclass(frozen=True)
class Tuned:
    """Measured documents under the thresholds of ``manifest``, overrides included.

    ``before`` is the same under the manifest as written: None without overrides, and where these
    change what is measured. ``changes`` are the overridden values in words.
    """

    manifest: Manifest
    stored: Measurements
    now: Judgement
    before: Judgement | None
    changes: tuple[str, ...]
    skipped: tuple[str, ...]
    left_out: tuple[str, ...]

    def ruling_before(self, ruling: Ruling) -> Ruling | None:
        """The same rule as the manifest has it; None when it is off there."""
        before = self.before.rulings() if self.before else ()
        return next((other for other in before if other.key == ruling.key), None)

    def is_changed(self, ruling: Ruling) -> bool:
        if self.before is None:
            return False
        before = self.ruling_before(ruling)
        return before is None or before.limits != ruling.limits


def tune(path: Path, overrides: Sequence[str] = (), output: Path | None = None) -> Tuned:
    """Judge the stored measurements by the manifest's thresholds and by the overrides.

    Raises Refusal (exit 2) when the measurements are missing or stale, ManifestError when the
    manifest or an override is wrong.
    """
    manifest = load_manifest(path, overrides, output)
    written = load_manifest(path, (), output) if overrides else manifest
    measured, before = (measuring_manifest(m).values for m in (manifest, written))
    same = measured == before and manifest.sources == written.sources
    stage = measured_stage(manifest, () if same else overrides, output)
    steps = [named for named in manifest.steps if isinstance(named.step, RowStep)]
    unmeasured = left_out(manifest, stage)
    judged = [named for named in steps if named.label not in unmeasured]
    judged_before = [n for n in written.steps if n.label in {named.label for named in judged}]
    signals = {name for named in (*judged, *judged_before) for name in _asked(named)}
    reasons = {
        n.label: f"{n.label}.{REASON}" for n in judged if not isinstance(n.step, ThresholdFilter)
    }
    stored = read_measurements(stage, list(manifest.sources), signals, reasons)
    return Tuned(
        manifest=manifest,
        stored=stored,
        now=judge(stored, judged),
        before=judge(stored, judged_before) if overrides and same else None,
        changes=tuple(_changes(_settings(written), _settings(manifest))),
        skipped=global_steps(manifest),
        left_out=unmeasured,
    )


def judge(stored: Measurements, steps: Sequence[NamedStep]) -> Judgement:
    """Raises Refusal when a rule asks for a signal that its step did not measure."""
    filters = []
    for named in steps:
        if isinstance(named.step, ThresholdFilter):
            rulings = tuple(_rulings(stored, named.label, named.step))
        else:
            codes = stored.reasons[named.label]
            rulings = tuple(
                Ruling(named.label, Rule(reason, ""), codes.codes == code)
                for code, reason in enumerate(codes.names)
                if reason
            )
        removed = np.zeros(len(stored), dtype=np.bool_)
        for ruling in rulings:
            removed |= ruling.broken
        filters.append(
            Filter(named.label, rulings, removed, isinstance(named.step, ThresholdFilter))
        )
    return Judgement(tuple(filters), len(stored))


def _count(masks: Iterable[BoolArray], rows: int) -> Counts:
    """How many of ``masks`` [rows] are true of each row."""
    total = np.zeros(rows, np.int32)
    for mask in masks:
        total += mask
    return total


def _rulings(stored: Measurements, label: str, step: ThresholdFilter) -> Iterator[Ruling]:
    for rule in step.rules():
        name = f"{label}.{rule.signal}"
        if name not in stored.signals:
            raise Refusal(
                "not-measured",
                f"{label} did not measure {rule.signal!r}, which its rule {rule.reason!r} "
                f"({rule.parameter}) asks for",
                "ThresholdFilter.measure returns every signal, also those of rules that are off",
            )
        yield Ruling(label, rule, rule.broken({rule.signal: stored.signals[name]}))


def _asked(named: NamedStep) -> set[str]:
    """Columns that the rules of a step ask for."""
    rules = named.step.rules() if isinstance(named.step, ThresholdFilter) else ()
    return {f"{named.label}.{rule.signal}" for rule in rules}


def _settings(manifest: Manifest) -> dict[str, Any]:
    return {named.label: named.step.model_dump(mode="json") for named in manifest.steps}


def _changes(before: Any, now: Any, path: str = "steps") -> Iterator[str]:
    """Values that differ, ``steps.gopher_quality.min_doc_words: 50 → 40``."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*before, *now)):
            yield from _changes(before.get(key), now.get(key), f"{path}.{key}")
    elif before != now:
        yield f"{path}: {said(before)} → {said(now)}"
