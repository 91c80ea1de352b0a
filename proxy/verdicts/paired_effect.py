"""A paired difference in bits per byte, how much it varies, and what could have been found.

docs/adr/0003-verdict-interval.md explains the arithmetic. Imports scipy where it is needed:
planning a run would pay half a second for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from proxy.mixing.targets import MIN_DOCUMENTS

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]

POWER = 0.8
_SMALLEST_P = 1e-100
_REPLICATES = 4_096


@dataclass(frozen=True)
class Effect:
    """A paired difference and the two variances of it, each with its degrees of freedom.

    ``seed_variance`` and ``document_variance`` are those of the mean difference, None where there
    is a single seed or document. ``document_skewness`` is that of the mean over documents.
    ``undecidable`` says why no interval can be given; empty when one can.
    """

    delta: float
    seed_variance: float | None
    seed_df: float
    document_variance: float | None
    document_df: float
    document_skewness: float = 0.0
    undecidable: str = ""

    def half_width(self, level: float) -> float:
        """Half the interval at confidence 1 − ``level``: √(t²·V_seed + t²·V_document), each t at
        its own degrees of freedom (Banerjee 1960, Howe 1974), that of documents widened for their
        skewness."""
        seed, document = self._variances()
        return math.hypot(
            _student(level / 2, self.seed_df) * math.sqrt(seed),
            self._document_quantile(level) * math.sqrt(document),
        )

    def detectable(self, level: float) -> float:
        """The true difference that a repetition of these trials finds at ``level`` with a power of
        80 %.

        The variances are estimates, of two to eight seeds, so they are drawn as such: the true
        ones given the estimates, and those that the repetition estimates given the true ones
        (both scaled χ²). The result is the 80 % quantile over 4,096 repetitions of the difference
        that each would have needed. With known variances it is the noncentral t's answer.
        """
        generator = np.random.default_rng(0)
        quantiles = (_student(level / 2, self.seed_df), self._document_quantile(level))
        true = np.zeros(_REPLICATES)
        needed = np.zeros(_REPLICATES)
        for variance, df, t in zip(
            self._variances(), (self.seed_df, self.document_df), quantiles, strict=True
        ):
            drawn = variance * df / generator.chisquare(df, _REPLICATES)
            true += drawn
            needed += t**2 * drawn * generator.chisquare(df, _REPLICATES) / df
        noise = np.sqrt(true) * generator.standard_normal(_REPLICATES)
        return float(np.quantile(np.sqrt(needed) + noise, POWER))

    def p_value(self) -> float:
        """The level at which the interval just touches zero; 1 when nothing can be decided."""
        if self.undecidable or self.delta == 0:
            return 1.0
        from scipy import optimize

        size = abs(self.delta)
        if size >= self.half_width(_SMALLEST_P):
            return 0.0
        root = optimize.brentq(
            lambda log_level: self.half_width(math.exp(log_level)) - size,
            math.log(_SMALLEST_P),
            0.0,
            xtol=1e-12,
        )
        return math.exp(root)

    def _variances(self) -> tuple[float, float]:
        assert self.seed_variance is not None
        assert self.document_variance is not None
        return self.seed_variance, self.document_variance

    def _document_quantile(self, level: float) -> float:
        """Student's t, widened for the skewness γ of the mean by |γ|·t².

        The first term of Edgeworth's expansion of the t-statistic is |γ|·(2t² + 1)/6 (Hall 1992,
        section 2.6), at most half of that for t ≥ 1. It is taken twice, because a sample of few
        dozen documents shows about half of the skewness of a heavy tail."""
        t = _student(level / 2, self.document_df)
        return t + abs(self.document_skewness) * t * t


@dataclass(frozen=True)
class Stratum:
    """One target's documents: rows of the scores, and the cluster [rows] that each belongs to."""

    name: str
    rows: npt.NDArray[np.intp]
    clusters: Longs


def effect(difference_sd: Floats, bytes_d: Longs, strata: list[Stratum]) -> Effect:
    """The mean over ``strata`` of a difference in bits per byte.

    ``difference_sd`` [seeds, documents] is in bits. Seeds vary as the whole difference does from
    seed to seed; documents as the contributions of clusters to the ratio, averaged over seeds.
    """
    seeds, weight = difference_sd.shape[0], 1 / len(strata)
    per_seed = np.zeros(seeds)
    variances, freedoms, third = [], [], 0.0
    for stratum in strata:
        size = bytes_d[stratum.rows]
        bits_sd = difference_sd[:, stratum.rows]
        per_seed += weight * bits_sd.sum(axis=1) / size.sum()
        moments = _cluster_moments(bits_sd.mean(axis=0), size, stratum.clusters)
        variances.append(weight**2 * moments.variance)
        freedoms.append(moments.df)
        third += weight**3 * moments.third
    undecidable = _undecidable(seeds, strata)
    total = sum(variances)
    spread = sum(part**2 / df for part, df in zip(variances, freedoms, strict=True) if df)
    return Effect(
        delta=float(per_seed.mean()),
        seed_variance=float(per_seed.var(ddof=1) / seeds) if seeds > 1 else None,
        seed_df=max(1, seeds - 1),
        document_variance=float(total) if all(freedoms) else None,
        # Welch and Satterthwaite: the degrees of freedom of a sum of variances.
        document_df=float(total**2 / spread) if spread else max(1.0, sum(freedoms)),
        document_skewness=float(third / total**1.5) if total else 0.0,
        undecidable=undecidable,
    )


@dataclass(frozen=True)
class _Moments:
    """Of one target's bits per byte over documents: variance with its degrees of freedom (0 for a
    single cluster), and third central moment."""

    variance: float
    df: float
    third: float


def _cluster_moments(bits: Floats, size: Longs, clusters: Longs) -> _Moments:
    """By the linearised ratio estimator (Cochran 1977, section 2.11), summed over clusters."""
    total = size.sum()
    rest = (bits - size * (bits.sum() / total)) / total
    contribution = np.bincount(clusters, rest)
    members = np.bincount(clusters)
    contribution, members = contribution[members > 0], members[members > 0]
    count = len(members)
    if count < 2:
        return _Moments(0.0, 0.0, 0.0)
    variance = count / (count - 1) * float((contribution**2).sum())
    third = float((contribution**3).sum())
    if count > 2:  # the unbiased third moment, as for the skewness G1
        third *= count**2 / ((count - 1) * (count - 2))
    # Clusters of unequal sizes count as fewer (Kish's effective number), at least two.
    effective = members.sum() ** 2 / (members.astype(float) ** 2).sum()
    return _Moments(variance, max(1.0, float(effective) - 1), third)


def _undecidable(seeds: int, strata: list[Stratum]) -> str:
    if seeds < 2:
        return "one seed cannot show how much seeds vary: give at least two"
    for stratum in strata:
        documents = len(stratum.rows)
        if documents < MIN_DOCUMENTS:
            plural = "s" if documents > 1 else ""
            return (
                f"{documents} held-out document{plural} of `{stratum.name}` cannot show how much "
                f"documents vary: give at least {MIN_DOCUMENTS}"
            )
        if len(np.unique(stratum.clusters)) < 2:
            return (
                f"all held-out documents of `{stratum.name}` are of one cluster, which cannot show "
                "how much clusters vary"
            )
    return ""


def _student(tail: float, df: float) -> float:
    """The t above which ``tail`` of Student's distribution lies."""
    from scipy import special

    return -float(special.stdtrit(df, tail))
