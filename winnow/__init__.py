"""winnow's public API: what steps, formats and extensions are written with.

Filters, dedup, classifiers and proxy import this package and kernels, and nothing else of ours.
"""

from pipeline.documents import DOCUMENT_SCHEMA, BoolArray, Docs
from pipeline.engine.fingerprint import digest, sha256_file
from pipeline.engine.processes import die_with_parent, process_birth
from pipeline.engine.stage import (
    KEPT,
    Receipt,
    Stage,
    StageOutputs,
    Task,
    TaskContext,
    TaskResult,
)
from pipeline.errors import ManifestError, Problem, Refusal, ShardError, WinnowError
from pipeline.extension import BuildContext, Extension
from pipeline.manifest.yaml_file import read_yaml
from pipeline.named_files import NamesFiles, cached_by_files, packaged
from pipeline.parquet import read_documents
from pipeline.report.blocks import (
    Block,
    Chart,
    Code,
    Prose,
    ReportSection,
    Sample,
    Samples,
    Table,
    Tone,
)
from pipeline.step import (
    Column,
    FilterResult,
    GlobalStep,
    Location,
    ManifestView,
    Position,
    ReduceInput,
    RowStep,
    Rule,
    Signals,
    ThresholdFilter,
)

__all__ = [
    "DOCUMENT_SCHEMA",
    "KEPT",
    "Block",
    "BoolArray",
    "BuildContext",
    "Chart",
    "Code",
    "Column",
    "Docs",
    "Extension",
    "FilterResult",
    "GlobalStep",
    "Location",
    "ManifestError",
    "ManifestView",
    "NamesFiles",
    "Position",
    "Problem",
    "Prose",
    "Receipt",
    "ReduceInput",
    "Refusal",
    "ReportSection",
    "RowStep",
    "Rule",
    "Sample",
    "Samples",
    "ShardError",
    "Signals",
    "Stage",
    "StageOutputs",
    "Table",
    "Task",
    "TaskContext",
    "TaskResult",
    "ThresholdFilter",
    "Tone",
    "WinnowError",
    "cached_by_files",
    "die_with_parent",
    "digest",
    "packaged",
    "process_birth",
    "read_documents",
    "read_yaml",
    "sha256_file",
]
