"""From finished trials to a verdict, and the verdict in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import orjson

from proxy.verdict import Claim, Scores, bits_per_byte, judge, read_scores
from winnow import ShardError, StageOutputs, TaskContext, TaskResult

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
    """Judge every mix against the baseline. Writes verdict.json: the claims, and the bits per byte
    of every mix, target and seed."""

    trials: StageOutputs
    names: tuple[TrialName, ...]
    baseline: str

    def run(self, context: TaskContext) -> TaskResult:
        scores = [self._read(name) for name in self.names]
        try:
            claims = judge(scores, self.baseline)
        except ValueError as error:
            raise ShardError("cannot-judge", str(error)) from error
        context.out.mkdir(parents=True, exist_ok=True)
        document = {
            "schema_version": SCHEMA_VERSION,
            "baseline": self.baseline,
            "claims": [asdict(claim) for claim in claims],
            "bits_per_byte": [
                {"mix": trial.mix, "seed": trial.seed, "targets": bits_per_byte(trial)}
                for trial in scores
            ],
        }
        text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY)
        (context.out / VERDICT).write_bytes(text + b"\n")
        metrics = {"headline": headline(claims, self.baseline), "tone": tone(claims)}
        return TaskResult(metrics=metrics)

    def _read(self, name: TrialName) -> Scores:
        (path,) = (
            path for path in self.trials.outputs(key=name.key) if path.name == "evaluation.parquet"
        )
        return read_scores(path, name.mix, name.seed)


def headline(claims: Sequence[Claim], baseline: str) -> str:
    """The verdict in one sentence: decided mixes first, the best of them first."""
    primary = sorted((claim for claim in claims if claim.primary), key=lambda claim: claim.delta)
    if not primary:
        return f"There is no mix to compare with `{baseline}`."
    parts = [sentence(c) for kind in ("better", "worse") for c in primary if c.decision == kind]
    undecided = [claim for claim in primary if claim.decision == "undecided"]
    if len(undecided) == 1:
        parts.append(sentence(undecided[0]))
    elif undecided:
        names = ", ".join(f"`{claim.mix}`" for claim in undecided)
        parts.append(f"{names} against `{baseline}` are undecided")
    return "; ".join(parts) + "."


def tone(claims: Sequence[Claim]) -> str:
    """What the headline begins with: better if any mix is, else worse if any is, else undecided."""
    decisions = {claim.decision for claim in claims if claim.primary}
    return next((kind for kind in ("better", "worse", "undecided") if kind in decisions), "")


def sentence(claim: Claim) -> str:
    """A claim in words, without a full stop."""
    against = f"`{claim.mix}` against `{claim.baseline}`"
    if claim.low is None or claim.high is None or claim.mde is None:
        return f"{against} is undecided: {claim.why}"
    if claim.decision == "undecided":
        return (
            f"{against} is undecided: {signed(claim.delta)} bits per byte ({_interval(claim)}), "
            f"where {claim.mde:.4f} could have been found"
        )
    return (
        f"`{claim.mix}` is {claim.decision} than `{claim.baseline}` by {abs(claim.delta):.4f} bits "
        f"per byte ({_interval(claim)})"
    )


def interval_of(claim: Claim) -> str:
    """``−0.041 to −0.021``: of mix − baseline, at the level at which the claim was tested."""
    if claim.low is None or claim.high is None:
        return "no interval"
    return f"{signed(claim.low)} to {signed(claim.high)}"


def confidence_of(claim: Claim) -> str:
    """The confidence of ``interval_of``: ``97.5 %``."""
    return f"{100 * (1 - claim.level):.4g} %"


def signed(value: float) -> str:
    """A difference with its sign, a true minus."""
    return f"{value:+.4f}".replace("-", "−")


def _interval(claim: Claim) -> str:
    return f"{confidence_of(claim)} interval {interval_of(claim)}"
