"""Score documents by a classifier trained on sources held to be good against others.

The recipe of DCLM (Li et al. 2024, arXiv 2406.11794, section 4.4): fastText, positive against
negative documents, the score is P(positive).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from classifiers.classify_settings import MODEL, ClassifySettings
from winnow import (
    Docs,
    FilterResult,
    GlobalStep,
    ManifestView,
    Position,
    Problem,
    ReduceInput,
    ReportSection,
)

if TYPE_CHECKING:
    import pyarrow as pa


class Classify(GlobalStep, ClassifySettings):
    """Append a quality score: P(positive) by a classifier of positive against negative sources.

    Nothing is dropped. Up to ``max_documents`` distinct documents of each class, as many of one as
    of the other, are sampled by a hash of where they come from; a tenth of them measures the model
    and the others train it. ``seed`` picks the sample and starts the training (default: the
    manifest's). Documents without any word score 0.
    """

    kernels: ClassVar[tuple[str, ...]] = ("fasttext", "text")
    map_parameters: ClassVar[frozenset[str] | None] = frozenset({"train"})

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from self.train.check(view.sources)

    def adds(self) -> dict[str, str]:
        return {self.column: "float32"}

    def map(self, docs: Docs) -> pa.RecordBatch:
        """``label`` [rows]: 1 positive, -1 negative, 0 neither; ``hash`` [rows] of the place.

        Texts are not copied: ``reduce`` finds them by row.
        """
        from classifiers.classify_training import map_classes

        return map_classes(self, docs)

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> Mapping[str, Any]:
        from classifiers.classify_training import train_classifier

        return train_classifier(self, reduce_input, folder)

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        import numpy as np

        from classifiers.students.fasttext_classifier import load
        from classifiers.students.preprocessing import TextBatch

        scores = load(artifacts / MODEL).score(TextBatch(docs.text), "positive")
        return FilterResult(np.ones(len(docs), dtype=np.bool_), columns={self.column: scores})

    def report_sections(
        self, label: str, artifacts: Path, metrics: Mapping[str, Any]
    ) -> Sequence[ReportSection]:
        from classifiers.classify_report import sections

        return sections(label, self.column, artifacts)
