"""A judge's answer about one attribute: probabilities of its labels, and how far to trust them.

``p = softmax(logprobs of the labels)``; ``mass`` is what the labels got of all the probability
there was, before it was shared out among them: a judge with little mass was about to write
something else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MISSING = -math.inf  # logprob of a label that the server did not report
MOST_MASS = 1.02  # servers compute in 16 bits, too


@dataclass(frozen=True)
class Label:
    """``probabilities`` [labels] add up to 1, in the rubric's order; ``mass`` is from 0 to 1."""

    probabilities: tuple[float, ...]
    mass: float

    @classmethod
    def of_logprobs(cls, logprobs: Sequence[float]) -> Label:
        """From the natural-log probabilities [labels] of the answers, as the model has them.

        Raises ValueError for NaN, for positive values, for more than all probability, and when no
        label has any.
        """
        values = np.asarray(logprobs, dtype=np.float64)
        if np.isnan(values).any() or (values > 1e-3).any():
            raise ValueError(f"not logarithms of probabilities: {list(logprobs)}")
        top = values.max()
        if top == MISSING:
            raise ValueError("no label has any probability")
        shares = np.exp(values - top)
        total = float(shares.sum())
        mass = total * math.exp(top)
        if mass > MOST_MASS:
            raise ValueError(f"labels have {mass:.2f} of all probability: {list(logprobs)}")
        return cls(tuple((shares / total).tolist()), min(1.0, mass))

    @classmethod
    def certain(cls, index: int, labels: int) -> Label:
        """One label, spelled out by a judge that gives no probabilities."""
        return cls(tuple(float(i == index) for i in range(labels)), 1.0)

    def expected(self, values: Sequence[float]) -> float:
        """``Σ p·value`` for the ``values`` [labels] of a scale."""
        return float(np.dot(self.probabilities, values))

    @property
    def best(self) -> int:
        """The most probable label; the first of equals."""
        return int(np.argmax(self.probabilities))

    @property
    def entropy(self) -> float:
        """In nats: 0 when certain, ``log(labels)`` when it could be any."""
        return -sum(p * math.log(p) for p in self.probabilities if p > 0)


@dataclass(frozen=True)
class Answer:
    """The whole answer about one document: ``labels`` by attribute, ``errors`` (codes) for the
    attributes without one ("" stands for all), and the ``rationale`` where one was asked for."""

    labels: Mapping[str, Label]
    errors: Mapping[str, str]
    rationale: str = ""

    @classmethod
    def refused(cls, code: str) -> Answer:
        """No label for any attribute."""
        return cls({}, {"": code})

    def error(self, attribute: str) -> str:
        """Why the attribute has no label; empty when it has one."""
        return (
            ""
            if attribute in self.labels
            else self.errors.get(attribute, self.errors.get("", "unknown"))
        )

    def with_least_mass(self, least: float) -> Answer:
        """The same, where labels below ``least`` mass are errors instead."""
        low = {name for name, label in self.labels.items() if label.mass < least}
        return Answer(
            {name: label for name, label in self.labels.items() if name not in low},
            {**self.errors, **dict.fromkeys(low, "low-mass")},
            self.rationale,
        )
