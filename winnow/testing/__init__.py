"""What tests of a plug-in need: documents, runs of a step in memory, and a workbench for stages."""

from pipeline.engine.warm_up import warm_up
from winnow.testing.documents import documents
from winnow.testing.step_runs import (
    StepRun,
    assert_accounted,
    assert_same_when_split,
    run_global_step,
    run_row_step,
)
from winnow.testing.workbench import Workbench, batch_of

__all__ = [
    "StepRun",
    "Workbench",
    "assert_accounted",
    "assert_same_when_split",
    "batch_of",
    "documents",
    "run_global_step",
    "run_row_step",
    "warm_up",
]
