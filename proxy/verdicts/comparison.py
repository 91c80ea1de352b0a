"""Is a mix better than the baseline? Every mix and target compared, with Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from proxy.mixing.targets import AGGREGATE
from proxy.verdicts.paired_effect import Effect, Floats, Stratum, effect

Decision = Literal["better", "worse", "undecided"]


@dataclass(frozen=True)
class Scores:
    """What one trial scored: arrays [documents] as in evaluate.EVALUATION_SCHEMA."""

    mix: str
    seed: int
    target: tuple[str, ...]
    id: tuple[str, ...]
    bits: Floats
    bytes: npt.NDArray[np.int64]
    cluster: tuple[str, ...] = ()  # () when every document is a cluster of its own


@dataclass(frozen=True)
class Comparison:
    """What is said of ``mix`` against ``baseline`` on ``target``, in bits per byte.

    ``delta`` is mix − baseline: below zero, the mix is better. ``low``…``high`` is the interval at
    confidence 1 − ``level``, the level at which Holm's procedure tested it, so it leaves out
    zero exactly when the decision is not "undecided". ``mde`` is the smallest true difference
    that would be found at that level with a power of 80 %. They are None when nothing can be
    decided; ``why`` says the reason then.
    """

    mix: str
    baseline: str
    target: str
    delta: float
    low: float | None
    high: float | None
    level: float
    p: float
    p_adjusted: float
    decision: Decision
    mde: float | None
    seeds: int
    documents: int
    why: str = ""

    @property
    def primary(self) -> bool:
        """The comparison about all targets; those about single targets are secondary."""
        return self.target == AGGREGATE


def read_scores(path: Path, mix: str, seed: int) -> Scores:
    """The scores that a trial wrote (``evaluation.parquet``)."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, page_checksum_verification=True)
    return Scores(
        mix,
        seed,
        tuple(table["target"].to_pylist()),
        tuple(table["id"].to_pylist()),
        table["bits"].to_numpy(),
        table["bytes"].to_numpy(),
        tuple(table["cluster"].to_pylist()),
    )


def bits_per_byte(scores: Scores) -> dict[str, float]:
    """Target → total bits / total bytes, in the order in which targets appear; last, under
    AGGREGATE, their plain mean."""
    target = np.array(scores.target)
    values = {
        name: float(scores.bits[target == name].sum() / scores.bytes[target == name].sum())
        for name in dict.fromkeys(scores.target)
    }
    return {**values, AGGREGATE: float(np.mean(list(values.values())))}


def compare_mixes(scores: Sequence[Scores], baseline: str, alpha: float = 0.05) -> list[Comparison]:
    """Every mix against ``baseline``: first the primary comparisons, then those per target.

    The chance that any primary comparison is wrong is at most ``alpha`` (Holm 1979); the secondary
    ones are a family of their own. Mixes keep the order of ``scores``, targets theirs. With one
    target the two families say the same and only the primary one is made.
    ValueError when trials cannot be paired: other documents, other seeds, one twice, no baseline.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha}, not between 0 and 1")
    trials = _paired(scores)
    if baseline not in trials:
        raise ValueError(f"no trial of the baseline {baseline!r}; there are {', '.join(trials)}")
    first = scores[0]
    targets = list(dict.fromkeys(first.target))
    if AGGREGATE in targets:
        raise ValueError(f"a target may not be called {AGGREGATE!r}")
    strata = _strata(first, targets)
    primary: list[tuple[Comparison, Effect]] = []
    secondary: list[tuple[Comparison, Effect]] = []
    for mix in trials:
        if mix == baseline:
            continue
        difference_sd = trials[mix] - trials[baseline]
        primary.append(_open(mix, baseline, AGGREGATE, difference_sd, first.bytes, strata))
        if len(targets) > 1:
            secondary += [
                _open(mix, baseline, stratum.name, difference_sd, first.bytes, [stratum])
                for stratum in strata
            ]
    return _holm(primary, alpha) + _holm(secondary, alpha)


def _strata(scores: Scores, targets: Sequence[str]) -> list[Stratum]:
    """The documents of each target and their clusters, numbered."""
    target = np.array(scores.target)
    clusters = scores.cluster or tuple(map(str, range(len(target))))
    numbers = np.unique(np.array(clusters), return_inverse=True)[1].astype(np.int64)
    return [
        Stratum(name, rows, numbers[rows])
        for name in targets
        for rows in [np.flatnonzero(target == name)]
    ]


def _open(
    mix: str,
    baseline: str,
    target: str,
    difference_sd: Floats,
    bytes_d: npt.NDArray[np.int64],
    strata: list[Stratum],
) -> tuple[Comparison, Effect]:
    """The comparison before Holm has set its level, and what it rests on."""
    found = effect(difference_sd, bytes_d, strata)
    p = found.p_value()
    documents = sum(len(stratum.rows) for stratum in strata)
    comparison = Comparison(
        mix=mix,
        baseline=baseline,
        target=target,
        delta=found.delta,
        low=None,
        high=None,
        level=math.nan,
        p=p,
        p_adjusted=p,
        decision="undecided",
        mde=None,
        seeds=len(difference_sd),
        documents=documents,
        why=found.undecidable,
    )
    return comparison, found


def _holm(family: Sequence[tuple[Comparison, Effect]], alpha: float) -> list[Comparison]:
    """Holm's step-down: the i-th smallest of m p-values is tested at alpha / (m - i), counted
    from 0, and the first that fails sets the level of itself and of all after it."""
    closed: dict[int, Comparison] = {}
    failed_at: float | None = None
    adjusted = 0.0
    order = sorted(range(len(family)), key=lambda i: (family[i][0].p, i))
    for rank, position in enumerate(order):
        comparison, found = family[position]
        remaining = len(family) - rank
        adjusted = max(adjusted, min(1.0, remaining * comparison.p))
        level = alpha / remaining if failed_at is None else failed_at
        comparison = replace(comparison, level=level, p_adjusted=adjusted)
        if comparison.why:
            failed_at, closed[position] = level, comparison
            continue
        half = found.half_width(level)
        decided = failed_at is None and abs(comparison.delta) > half
        if not decided:
            failed_at = level
        closed[position] = replace(
            comparison,
            low=comparison.delta - half,
            high=comparison.delta + half,
            mde=found.detectable(level),
            decision=("better" if comparison.delta < 0 else "worse") if decided else "undecided",
        )
    return [closed[position] for position in range(len(family))]


def _paired(scores: Sequence[Scores]) -> dict[str, Floats]:
    """Mix → bits [seeds, documents], seeds in rising order, all of the same documents."""
    if not scores:
        raise ValueError("no trials to compare")
    first = scores[0]
    _check_documents(first)
    by_mix: dict[str, dict[int, Floats]] = {}
    for trial in scores:
        name = f"mix {trial.mix!r}, seed {trial.seed}"
        if (trial.target, trial.id) != (first.target, first.id) or not np.array_equal(
            trial.bytes, first.bytes
        ):
            raise ValueError(f"{name} was evaluated on other documents than the first trial")
        if not (trial.bits.shape == first.bits.shape and np.isfinite(trial.bits).all()):
            raise ValueError(f"{name} has scores that are missing or not finite")
        if trial.seed in by_mix.setdefault(trial.mix, {}):
            raise ValueError(f"{name} is there twice")
        by_mix[trial.mix][trial.seed] = trial.bits
    seeds = sorted(by_mix[first.mix])
    for mix, trials in by_mix.items():
        if sorted(trials) != seeds:
            raise ValueError(f"mix {mix!r} has seeds {sorted(trials)}, others have {seeds}")
    return {mix: np.stack([trials[s] for s in seeds]) for mix, trials in by_mix.items()}


def _check_documents(scores: Scores) -> None:
    names = list(zip(scores.target, scores.id, strict=True))
    if not names:
        raise ValueError("the trials were evaluated on no documents")
    if len(set(names)) < len(names):
        raise ValueError("a document is evaluated twice: its target and id must be unique")
    if len(scores.bytes) != len(names) or (scores.bytes < 1).any():
        raise ValueError("every document needs a positive number of bytes")
