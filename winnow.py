"""What a step of your own needs: ``from winnow import RowStep, Verdict``."""

from pipeline.documents import Docs
from pipeline.errors import Problem, Refusal, ShardError, WinnowError
from pipeline.panel import Chapter, Chart, Prose, Sample, Samples, Table
from pipeline.step import BarrierStep, Evidence, ManifestView, Position, RowStep, Verdict

__all__ = [
    "BarrierStep",
    "Chapter",
    "Chart",
    "Docs",
    "Evidence",
    "ManifestView",
    "Position",
    "Problem",
    "Prose",
    "Refusal",
    "RowStep",
    "Sample",
    "Samples",
    "ShardError",
    "Table",
    "Verdict",
    "WinnowError",
]
