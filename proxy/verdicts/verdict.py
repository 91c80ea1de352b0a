"""From finished trials to a verdict, and the verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from winnow import ShardError, StageOutputs, TaskContext, TaskResult

if TYPE_CHECKING:
    from proxy.verdicts.comparison import Comparison, Scores

VERDICT = "verdict.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TrialName:
    """Which trial: the key of its task, its mix and its seed (from 1)."""

    key: str
    mix: str
    seed: int


@dataclass(frozen=True)
class VerdictTask:
    """Compare every mix with the baseline. Writes verdict.json: the comparisons, and the bits per
    byte of every mix, target and seed."""

    trials: StageOutputs
    names: tuple[TrialName, ...]
    baseline: str

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.verdicts.comparison import bits_per_byte, compare_mixes

        scores = [self._read(name) for name in self.names]
        try:
            comparisons = compare_mixes(scores, self.baseline)
        except ValueError as error:
            raise ShardError("cannot-compare", str(error)) from error
        context.out.mkdir(parents=True, exist_ok=True)
        document = {
            "schema_version": SCHEMA_VERSION,
            "baseline": self.baseline,
            "comparisons": [asdict(comparison) for comparison in comparisons],
            "bits_per_byte": [
                {"mix": trial.mix, "seed": trial.seed, "targets": bits_per_byte(trial)}
                for trial in scores
            ],
        }
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
        (context.out / VERDICT).write_bytes(text + b"\n")
        metrics = {"headline": headline(comparisons, self.baseline), "tone": tone(comparisons)}
        return TaskResult(metrics=metrics)

    def _read(self, name: TrialName) -> Scores:
        from proxy.verdicts.comparison import read_scores

        (path,) = (
            path for path in self.trials.outputs(key=name.key) if path.name == "evaluation.parquet"
        )
        return read_scores(path, name.mix, name.seed)


def headline(comparisons: Sequence[Comparison], baseline: str) -> str:
    """The verdict in one sentence: decided mixes first, the best of them first."""
    primary = sorted((c for c in comparisons if c.primary), key=lambda c: c.delta)
    if not primary:
        return f"There is no mix to compare with `{baseline}`."
    parts = [sentence(c) for kind in ("better", "worse") for c in primary if c.decision == kind]
    undecided = [c for c in primary if c.decision == "undecided"]
    if len(undecided) == 1:
        parts.append(sentence(undecided[0]))
    elif undecided:
        names = ", ".join(f"`{c.mix}`" for c in undecided)
        parts.append(f"{names} against `{baseline}` are undecided")
    return "; ".join(parts) + "."


def tone(comparisons: Sequence[Comparison]) -> str:
    """What the headline begins with: better if any mix is, else worse if any is, else undecided."""
    decisions = {c.decision for c in comparisons if c.primary}
    return next((kind for kind in ("better", "worse", "undecided") if kind in decisions), "")


def sentence(c: Comparison) -> str:
    """A comparison in words, without a full stop. Every number is mix − baseline: below zero the
    mix needs fewer bits and is better."""
    against = f"`{c.mix}` against `{c.baseline}`"
    if c.low is None or c.high is None or c.mde is None:
        return f"{against} is undecided: {c.why}"
    measured = f"{confidence(c)} interval {interval(c)}"
    difference = f"{signed(c.delta)} bits per byte ({measured})"
    if c.decision == "undecided":
        return f"{against} is undecided: {difference}, where {c.mde:.4f} could have been found"
    return f"`{c.mix}` is {c.decision} than `{c.baseline}`: {difference}"


def interval(c: Comparison) -> str:
    """``−0.041 to −0.021``: of mix − baseline, at the level at which it was tested."""
    if c.low is None or c.high is None:
        return "no interval"
    return f"{signed(c.low)} to {signed(c.high)}"


def confidence(c: Comparison) -> str:
    """The confidence of ``interval``: ``97.5 %``."""
    return f"{100 * (1 - c.level):.4g} %"


def signed(value: float) -> str:
    """A difference with its sign, a true minus."""
    return f"{value:+.4f}".replace("-", "−")
