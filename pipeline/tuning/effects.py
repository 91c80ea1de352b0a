"""What thresholds do to measured documents: which rule removes which, alone and together.

``tune`` needs no text: it compares stored signals with the limits of the manifest, and with those
of ``--set`` overrides beside them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.documents import BoolArray
from pipeline.errors import Refusal
from pipeline.manifest import Manifest, NamedStep, load_manifest
from pipeline.manifest.overrides import parse_override
from pipeline.report.format import formatted
from pipeline.step import RowStep, Rule, ThresholdFilter
from pipeline.tuning.measure_run import global_steps, left_out, measured_stage, measuring_manifest
from pipeline.tuning.measurements import Measurements, read_measurements
from pipeline.tuning.signals import REASON

RULES_SHOWN: Final = 6
# An odd multiplier spreads neighbouring rows, so that ties do not all come from one source.
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True)
class RuleEffect:
    """One rule over all documents; ``broken`` [rows] is true for those that break it. A step that
    is no ThresholdFilter has one for each reason that it gave, whose rule has no signal."""

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
        shown = [f"{sign} {formatted(value)}" for sign, value in self.limits]
        return ", ".join(shown) or ("measured" if self.rule.defined else "")


@dataclass(frozen=True)
class FilterEffect:
    """One row step over all documents; with ``has_thresholds`` it can be tuned."""

    label: str
    rules: tuple[RuleEffect, ...]
    removed: BoolArray
    has_thresholds: bool


@dataclass(frozen=True)
class Effects:
    """All filters under one set of thresholds."""

    filters: tuple[FilterEffect, ...]
    rows: int

    @cached_property
    def removers(self) -> Counts:
        """How many filters [rows] remove each document."""
        return _sum((found.removed for found in self.filters), self.rows)

    @cached_property
    def breaches(self) -> Counts:
        """How many rules [rows] each document breaks, over all filters."""
        return _sum((effect.broken for effect in self.rules()), self.rows)

    @property
    def kept(self) -> BoolArray:
        return np.equal(self.removers, 0)

    def rules(self) -> Iterator[RuleEffect]:
        for found in self.filters:
            yield from found.rules

    def alone(self, found: FilterEffect) -> BoolArray:
        """Documents [rows] that would be kept if this filter were off."""
        return found.removed & np.equal(self.removers, 1)

    def alone_for(self, effect: RuleEffect) -> BoolArray:
        """Documents [rows] that would be kept if this rule were off."""
        return effect.broken & np.equal(self.breaches, 1)

    def in_order(self) -> Iterator[tuple[FilterEffect, BoolArray]]:
        """Each filter with the documents [rows] that reach it and that it drops."""
        left = np.ones(self.rows, dtype=np.bool_)
        for found in self.filters:
            yield found, left & found.removed
            left = left & ~found.removed


@dataclass(frozen=True)
class TuningResult:
    """Measured documents under the thresholds of ``manifest``, overrides included.

    ``before`` is the same under the manifest as written: None without overrides, and where these
    change what is measured. ``changes`` are the overridden values in words.
    """

    manifest: Manifest
    stored: Measurements
    now: Effects
    before: Effects | None
    changes: tuple[str, ...]
    skipped: tuple[str, ...]
    left_out: tuple[str, ...]

    def rule_before(self, effect: RuleEffect) -> RuleEffect | None:
        """The same rule as the manifest has it; None when it is off there."""
        before = self.before.rules() if self.before else ()
        return next((other for other in before if other.key == effect.key), None)

    def is_changed(self, effect: RuleEffect) -> bool:
        if self.before is None:
            return False
        before = self.rule_before(effect)
        return before is None or before.limits != effect.limits


def tune(path: Path, overrides: Sequence[str] = (), output: Path | None = None) -> TuningResult:
    """Compare the stored measurements with the manifest's thresholds, overrides included.

    Raises Refusal (exit 2) when the measurements are missing or stale or an override sets what
    cannot be tuned, ManifestError when the manifest or an override is wrong.
    """
    manifest = load_manifest(path, overrides, output)
    written = load_manifest(path, (), output) if overrides else manifest
    wanted, before = (measuring_manifest(m).values for m in (manifest, written))
    same = wanted == before and manifest.sources == written.sources
    stage = measured_stage(manifest, () if same else overrides, output)
    steps = [named for named in manifest.steps if isinstance(named.step, RowStep)]
    unmeasured = left_out(manifest, stage)
    _require_tunable(manifest, overrides, unmeasured)
    measured = [named for named in steps if named.label not in unmeasured]
    tuned_before = [n for n in written.steps if n.label in {named.label for named in measured}]
    signals = {name for named in (*measured, *tuned_before) for name in _columns(named)}
    reasons = {
        n.label: f"{n.label}.{REASON}" for n in measured if not isinstance(n.step, ThresholdFilter)
    }
    stored = read_measurements(stage, list(manifest.sources), signals, reasons)
    return TuningResult(
        manifest=manifest,
        stored=stored,
        now=effects_of(stored, measured),
        before=effects_of(stored, tuned_before) if overrides and same else None,
        changes=tuple(_changes(_settings(written), _settings(manifest))),
        skipped=global_steps(manifest),
        left_out=unmeasured,
    )


def _require_tunable(
    manifest: Manifest, overrides: Sequence[str], unmeasured: Sequence[str]
) -> None:
    """Raises Refusal for an override of which no stored measurement can show the effect."""
    extensions = {
        key for extension in manifest.extensions.values() for key in type(extension).model_fields
    }
    for number, text in enumerate(overrides, start=1):
        keys = [key.text for key in parse_override(number, text).keys]
        if keys[0] == "steps" and len(keys) > 1:
            if keys[1] in global_steps(manifest):
                what, why = keys[1], "it needs all documents at once, so it is not measured"
            elif keys[1] in unmeasured:
                what, why = keys[1], "it needs what a step adds that is not measured"
            else:
                continue
        elif keys[0] in extensions:
            what, why = keys[0], "it comes after the filters"
        else:
            continue
        command = shlex.join(["winnow", "plan", str(manifest.path), "--set", text])
        raise Refusal(
            "nothing-to-tune",
            f"--set {text}: {what} has nothing to tune: {why}",
            f"see what a run would do with it: {command}",
        )


def effects_of(stored: Measurements, steps: Sequence[NamedStep]) -> Effects:
    """The effects of these steps' rules on the documents that are ``stored``.

    Raises Refusal when a rule asks for a signal that its step did not measure.
    """
    filters = []
    for named in steps:
        if isinstance(named.step, ThresholdFilter):
            rules = tuple(_rule_effects(stored, named.label, named.step))
        else:
            codes = stored.reasons[named.label]
            rules = tuple(
                RuleEffect(named.label, Rule(reason, ""), codes.codes == code)
                for code, reason in enumerate(codes.names)
                if reason
            )
        removed = np.zeros(len(stored), dtype=np.bool_)
        for effect in rules:
            removed |= effect.broken
        filters.append(
            FilterEffect(named.label, rules, removed, isinstance(named.step, ThresholdFilter))
        )
    return Effects(tuple(filters), len(stored))


def _sum(masks: Iterable[BoolArray], rows: int) -> Counts:
    """How many of ``masks`` [rows] are true of each row."""
    total = np.zeros(rows, np.int32)
    for mask in masks:
        total += mask
    return total


def _rule_effects(stored: Measurements, label: str, step: ThresholdFilter) -> Iterator[RuleEffect]:
    for rule in step.rules():
        name = f"{label}.{rule.signal}"
        if name not in stored.signals:
            raise Refusal(
                "not-measured",
                f"{label} did not measure {rule.signal!r}, which its rule {rule.reason!r} "
                f"({rule.parameter}) asks for",
                "ThresholdFilter.measure returns every signal, also those of rules that are off",
            )
        yield RuleEffect(label, rule, rule.broken({rule.signal: stored.signals[name]}))


def _columns(named: NamedStep) -> set[str]:
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
        yield f"{path}: {formatted(before)} → {formatted(now)}"


@dataclass(frozen=True)
class Boundary:
    """One limit of a rule (``sign`` is that of what stays) and the documents nearest to it, as
    rows, the nearest first."""

    effect: RuleEffect
    sign: str
    limit: float
    removed: tuple[int, ...]
    kept: tuple[int, ...]


def boundaries(stored: Measurements, effect: RuleEffect, count: int) -> list[Boundary]:
    """For each limit of the rule, up to ``count`` documents on either side; none without one."""
    found = []
    for sign, limit in effect.limits:
        values = stored.signals[effect.signal]
        beyond = values < limit if sign == "≥" else values > limit
        within = ~beyond & ~np.isnan(values)
        away = np.abs(values - limit)
        sides = [tuple(_least(away, side, count)) for side in (beyond, within)]
        found.append(Boundary(effect, sign, limit, *sides))
    return found


def boundaries_of_filter(tuned: TuningResult, found: FilterEffect, count: int) -> list[Boundary]:
    """Boundaries of the rules worth a look: those changed, then those most often broken."""
    rules = [r for r in found.rules if r.limits and (r.broken.any() or tuned.is_changed(r))]
    rules.sort(key=lambda effect: (not tuned.is_changed(effect), -int(effect.broken.sum())))
    shown = rules[:RULES_SHOWN]
    return [boundary for effect in shown for boundary in boundaries(tuned.stored, effect, count)]


def changed_documents(tuned: TuningResult, count: int) -> tuple[list[int], list[int]]:
    """Up to ``count`` rows that only the overrides keep, and as many that only they remove."""
    if tuned.before is None:
        return [], []
    gained = tuned.now.kept & ~tuned.before.kept
    lost = ~tuned.now.kept & tuned.before.kept
    equal = np.zeros(len(tuned.stored))
    return _least(equal, gained, count), _least(equal, lost, count)


def documents_at(stored: Measurements, rows: Sequence[int]) -> list[dict[str, Any]]:
    """What is stored of these documents, in the order of ``rows``."""
    found = stored.documents(rows)
    return [found[row] for row in rows]


def exact(number: float) -> str:
    """A measured number with digits enough to part it from a limit nearby."""
    return f"{number:,.0f}" if number.is_integer() else f"{number:.6g}"


def _least(values: npt.NDArray[np.float64], among: BoolArray, count: int) -> list[int]:
    """Up to ``count`` rows ``among`` which ``values`` are smallest; ties by a spread of rows."""
    rows = np.flatnonzero(among)
    if len(rows) > count:
        near = values[rows] <= np.partition(values[rows], count - 1)[count - 1]
        rows = rows[near]
    order = np.lexsort((rows.astype(np.uint64) * _SPREAD, values[rows]))
    return [int(row) for row in rows[order][:count]]
