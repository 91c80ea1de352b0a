"""A small project to measure, with filters of its own, and measurements made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from pipeline.manifest import NamedStep
from pipeline.step import Rule, ThresholdFilter
from pipeline.tuning.measurements import Codes, Measurements

FILTERS = '''
import numpy as np
import pyarrow as pa
from winnow import RowStep, FilterResult
from pipeline.step import Rule, ThresholdFilter


class Sized(ThresholdFilter):
    """Drop texts of few or many characters, and those with many of one letter."""

    least: int = 5
    most: int | None = 40
    letter: str = "x"
    max_share: float | None = 0.5

    def measure(self, docs):
        texts = docs.text.to_pylist()
        share = [t.count(self.letter) / len(t) if t else np.nan for t in texts]
        return {"length": np.array([len(t) for t in texts]), "share": np.array(share)}

    def rules(self):
        rules = [Rule("short", "length", "least", least=self.least)]
        if self.most is not None:
            rules.append(Rule("long", "length", "most", most=self.most))
        if self.max_share is not None:
            rules.append(Rule("letter", "share", "max_share", most=self.max_share))
        return rules


class Trim(ThresholdFilter):
    """Cut what stands after a bar, and drop what has too many words left."""

    most: int = 6

    def edits_text(self):
        return True

    def measure(self, docs):
        return {"words": np.array([len(t.split()) for t in self._cut(docs)])}

    def rules(self):
        return [Rule("wordy", "words", "most", most=self.most)]

    def filter(self, docs):
        found = self.apply(self.measure(docs))
        text = pa.array(self._cut(docs), pa.large_string())
        return FilterResult(keep=found.keep, reason=found.reason, signals=found.signals, text=text)

    def _cut(self, docs):
        return [t.partition("|")[0] for t in docs.text.to_pylist()]


class Loud(RowStep):
    """No threshold that could be tried."""

    sign: str = "!"

    def filter(self, docs):
        loud = np.array([self.sign in t for t in docs.text.to_pylist()], dtype=bool)
        return FilterResult(keep=~loud, reason="loud", signals={"loud": loud})
'''

MANIFEST = """\
# Measured by the tests.
name: small
output: out
executor: {workers: 1}
sources:
  a: {format: jsonl, paths: "a*.jsonl", max_bad: 0.5, pack_bytes: 0}
  b: {format: jsonl, paths: "b*.jsonl"}
steps:
  - filters.py:Sized: {least: 5}      # characters
  - filters.py:Trim
  - exact_dedup
  - filters.py:Loud
"""

TEXTS = {
    "a1": ["tiny", "quite long enough", "xxxxxxxx", "one two three four five six seven", "loud!"],
    "a2": ["hello | world!", "exactly five", "abcd", "z" * 60],
    "b1": ["quite long enough", "xx", ""],
}


def write_project(folder: Path) -> Path:
    """Write filters, documents (one bad row among them) and a manifest; the path of that."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "filters.py").write_text(FILTERS)
    for name, texts in TEXTS.items():
        rows = [json.dumps({"id": f"{name}-{n}", "text": text}) for n, text in enumerate(texts)]
        rows += ["{broken"] if name == "a2" else []
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
    (folder / "m.yaml").write_text(MANIFEST)
    return folder / "m.yaml"


class Between(ThresholdFilter):
    """Limits on a number called ``n``, and on one called ``share`` that may be undefined."""

    low: float | None = None
    high: float | None = None
    share: float | None = None

    def rules(self) -> list[Rule]:
        rules = [
            Rule("low", "n", "low", least=self.low) if self.low is not None else None,
            Rule("high", "n", "high", most=self.high) if self.high is not None else None,
            Rule("share", "share", "share", most=self.share) if self.share is not None else None,
        ]
        return [rule for rule in rules if rule]


def between(label: str, **limits: float) -> NamedStep:
    return NamedStep(label, Between(**limits), label)


def stored(
    signals: dict[str, list[float]],
    reasons: dict[str, list[str]] | None = None,
    sources: list[str] | None = None,
) -> Measurements:
    """Measurements made by hand; document ``i`` has ``i + 1`` bytes."""
    rows = len(next(iter([*signals.values(), *(reasons or {}).values()])))
    return Measurements(
        files=(),
        starts=np.array([0, rows]),
        sources=_codes(sources or ["web"] * rows),
        sizes=np.arange(1, rows + 1),
        signals={name: np.array(values, np.float64) for name, values in signals.items()},
        reasons={step: _codes(values) for step, values in (reasons or {}).items()},
    )


def _codes(values: list[str]) -> Codes:
    names = tuple(dict.fromkeys(values))
    return Codes(names, np.array([names.index(value) for value in values], np.int32))
