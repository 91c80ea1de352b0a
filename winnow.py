"""What a step of your own needs: ``from winnow import RowStep, Verdict``."""

from pipeline.documents import Docs
from pipeline.errors import Problem, Refusal, ShardError, WinnowError
from pipeline.step import BarrierStep, Evidence, ManifestView, Position, RowStep, Verdict

__all__ = [
    "BarrierStep",
    "Docs",
    "Evidence",
    "ManifestView",
    "Position",
    "Problem",
    "Refusal",
    "RowStep",
    "ShardError",
    "Verdict",
    "WinnowError",
]
