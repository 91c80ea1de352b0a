"""winnow's public API: what steps, formats and extensions are written with, and what runs them.

``winnow.filters`` has the installed steps, to call on tables in memory; ``winnow.testing`` has what
tests of plug-ins need.

Filters, dedup, classifiers and proxy import this package and kernels, and nothing else of ours.
A name is imported when it is first used, so that a module costs no more than the names it uses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.documents import DOCUMENT_SCHEMA, BoolArray, Docs
    from pipeline.engine.fingerprint import code_of, digest, sha256_file
    from pipeline.engine.processes import die_with_parent, process_birth
    from pipeline.engine.stage import (
        KEPT,
        Reads,
        Receipt,
        Stage,
        StageOutputs,
        Task,
        TaskContext,
        TaskResult,
    )
    from pipeline.errors import ManifestError, Problem, Refusal, ShardError, WinnowError
    from pipeline.executor import Executor, TaskCall, TaskEnd, WorkerPool
    from pipeline.extension import BuildContext, Extension
    from pipeline.manifest.plugin_files import named_object
    from pipeline.manifest.validation import checked_value
    from pipeline.manifest.wording import did_you_mean
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
    from pipeline.shard_documents import ShardDocuments
    from pipeline.sources.fields import find_field
    from pipeline.sources.file_format import FileFormat
    from pipeline.sources.input_files import Listing, list_files
    from pipeline.sources.read_rows import read_rows
    from pipeline.sources.rows import Row, RowError
    from pipeline.sources.source import SourceFormat
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
    from winnow import filters
    from winnow.in_memory import Filtered, Pipeline
    from winnow.running import load_manifest, results, run

# Where each name is defined; the imports above are the same for type checkers.
_HOMES = {
    "pipeline.documents": (
        "DOCUMENT_SCHEMA",
        "BoolArray",
        "Docs",
    ),
    "pipeline.engine.fingerprint": (
        "code_of",
        "digest",
        "sha256_file",
    ),
    "pipeline.engine.processes": (
        "die_with_parent",
        "process_birth",
    ),
    "pipeline.engine.stage": (
        "KEPT",
        "Reads",
        "Receipt",
        "Stage",
        "StageOutputs",
        "Task",
        "TaskContext",
        "TaskResult",
    ),
    "pipeline.errors": (
        "ManifestError",
        "Problem",
        "Refusal",
        "ShardError",
        "WinnowError",
    ),
    "pipeline.executor": (
        "Executor",
        "TaskCall",
        "TaskEnd",
        "WorkerPool",
    ),
    "pipeline.extension": (
        "BuildContext",
        "Extension",
    ),
    "pipeline.manifest.plugin_files": ("named_object",),
    "pipeline.manifest.validation": ("checked_value",),
    "pipeline.manifest.wording": ("did_you_mean",),
    "pipeline.manifest.yaml_file": ("read_yaml",),
    "pipeline.named_files": (
        "NamesFiles",
        "cached_by_files",
        "packaged",
    ),
    "pipeline.parquet": ("read_documents",),
    "pipeline.report.blocks": (
        "Block",
        "Chart",
        "Code",
        "Prose",
        "ReportSection",
        "Sample",
        "Samples",
        "Table",
        "Tone",
    ),
    "pipeline.shard_documents": ("ShardDocuments",),
    "pipeline.sources.fields": ("find_field",),
    "pipeline.sources.file_format": ("FileFormat",),
    "pipeline.sources.input_files": (
        "Listing",
        "list_files",
    ),
    "pipeline.sources.read_rows": ("read_rows",),
    "pipeline.sources.rows": (
        "Row",
        "RowError",
    ),
    "pipeline.sources.source": ("SourceFormat",),
    "pipeline.step": (
        "Column",
        "FilterResult",
        "GlobalStep",
        "Location",
        "ManifestView",
        "Position",
        "ReduceInput",
        "RowStep",
        "Rule",
        "Signals",
        "ThresholdFilter",
    ),
    "winnow": ("filters",),
    "winnow.in_memory": (
        "Filtered",
        "Pipeline",
    ),
    "winnow.running": (
        "load_manifest",
        "results",
        "run",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}

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
    "Executor",
    "Extension",
    "FileFormat",
    "FilterResult",
    "Filtered",
    "GlobalStep",
    "Listing",
    "Location",
    "ManifestError",
    "ManifestView",
    "NamesFiles",
    "Pipeline",
    "Position",
    "Problem",
    "Prose",
    "Reads",
    "Receipt",
    "ReduceInput",
    "Refusal",
    "ReportSection",
    "Row",
    "RowError",
    "RowStep",
    "Rule",
    "Sample",
    "Samples",
    "ShardDocuments",
    "ShardError",
    "Signals",
    "SourceFormat",
    "Stage",
    "StageOutputs",
    "Table",
    "Task",
    "TaskCall",
    "TaskContext",
    "TaskEnd",
    "TaskResult",
    "ThresholdFilter",
    "Tone",
    "WinnowError",
    "WorkerPool",
    "cached_by_files",
    "checked_value",
    "code_of",
    "did_you_mean",
    "die_with_parent",
    "digest",
    "filters",
    "find_field",
    "list_files",
    "load_manifest",
    "named_object",
    "packaged",
    "process_birth",
    "read_documents",
    "read_rows",
    "read_yaml",
    "results",
    "run",
    "sha256_file",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if _HOME[name] == __name__:
        return import_module(f"{__name__}.{name}")
    value = globals()[name] = getattr(import_module(_HOME[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
