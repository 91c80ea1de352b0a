"""Steps on tables in memory: ``winnow.filters.gopher_quality(min_stop_words=3)(table)``.

A table is a pyarrow Table or RecordBatch, a pandas or polars frame, or a ``datasets.Dataset``, with
a column ``text``; an iterator of batches is filtered batch by batch. What comes back is of the same
kind.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.documents import DOCUMENT_SCHEMA, MAX_BATCH_ROWS, Docs
from pipeline.engine.step_results import CheckedResult, applied, filtered, mapped, reduced
from pipeline.errors import WinnowError
from pipeline.shard_documents import ShardDocuments
from pipeline.step import GlobalStep, ManifestView, Position, ReduceInput, RowStep, Step
from winnow.frames import from_table, to_table

if TYPE_CHECKING:
    from pipeline.engine.results import RunResults

T = TypeVar("T")
SOURCE = "memory"


@dataclass(frozen=True)
class Filtered(Generic[T]):
    """``kept`` are the rows that stay, as they were given, with what steps edited or appended.

    ``reasons`` [rows given] say why a row was dropped, None where it was kept. ``dropped`` has a
    row for each dropped one: its place among those given, the step, the reason and the signals.
    """

    kept: T
    reasons: list[str | None]
    dropped: pa.Table


class TableStep:
    """A step by its name in manifests, to be called on a table."""

    def __init__(self, name: str, step: Step) -> None:
        self.name = name
        self.step = step

    def __repr__(self) -> str:
        return f"winnow.filters.{self.name}: {self.step!r}"

    def __call__(self, data: T) -> Filtered[T]:
        """Filter a table. Raises WinnowError when it has no text, or a step cannot take it.

        Of an iterator, an iterator with the outcome of each batch.
        """
        return cast(Filtered[T], Pipeline([self]).run(data))


@dataclass(frozen=True)
class Pipeline:
    """Steps in order; each sees what the ones before it have kept."""

    steps: Sequence[TableStep | Step]

    def run(self, data: Any, *, seed: int = 0) -> Any:
        """Filter a table by all steps (see ``TableStep``). ``seed`` is that of a manifest."""
        if isinstance(data, Iterator):
            return (self._run(batch, seed) for batch in data)
        return self._run(data, seed)

    def run_files(
        self,
        sources: Mapping[str, Mapping[str, Any]],
        output: str | Path,
        *,
        seed: int = 0,
        workers: int | None = None,
    ) -> RunResults:
        """Filter files as ``winnow run`` does: ``sources`` are those of a manifest, by name.

        Writes the manifest into ``output``, from where ``winnow`` can go on with it. The steps are
        installed ones. Raises ManifestError when something in it is wrong.
        """
        from pipeline.engine.run import run
        from pipeline.manifest import load_manifest

        folder = Path(output).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        manifest: dict[str, Any] = {"seed": seed, "sources": _absolute(sources)}
        manifest["steps"] = [_written(step) for step in self.steps]
        if workers is not None:
            manifest["executor"] = {"workers": workers}
        path = folder / "manifest.yaml"
        path.write_text(json.dumps(manifest, indent=2, ensure_ascii=False))  # JSON is YAML
        return run(load_manifest(path, output=folder))

    def _run(self, data: T, seed: int) -> Filtered[T]:
        table = to_table(data)
        docs = _documents(table)
        state = _State(docs, len(table))
        with tempfile.TemporaryDirectory() as folder:
            for number, step in enumerate(self.steps):
                name, inner = _named(step)
                _check(inner, state.docs, table.column_names)
                if isinstance(inner, GlobalStep):
                    results = _global(inner, state.docs, Path(folder) / str(number), seed)
                else:
                    assert isinstance(inner, RowStep)
                    results = [(b, filtered(inner, b)) for b in _batches(state.docs)]
                state.settle(name, results)
        return Filtered(from_table(data, state.kept(table)), state.reasons, state.dropped())


class _State:
    """Which rows are left, and why the others are not."""

    def __init__(self, docs: Docs, rows: int) -> None:
        self.docs = docs
        self.rows = np.arange(rows)
        self.reasons: list[str | None] = [None] * rows
        self._gone: list[dict[str, Any]] = []
        self._edited = False
        self._added: dict[str, None] = {}

    def settle(self, name: str, results: Sequence[tuple[Docs, CheckedResult]]) -> None:
        """Take in what a step decided on the batches of ``docs``."""
        left, first = [], 0
        keep: list[npt.NDArray[np.bool_]] = []
        for batch, result in results:
            self._drop(name, first, result)
            first += len(batch)
            self._edited |= result.text is not None
            self._added |= dict.fromkeys(result.columns)
            after = batch if result.text is None else batch.with_text(result.text)
            after = after.with_columns(result.columns) if result.columns else after
            left.append(after.filter(result.keep).batch)
            keep.append(result.keep)
        self.rows = self.rows[np.concatenate(keep)]
        self.docs = Docs(_joined(left))

    def _drop(self, name: str, first: int, result: CheckedResult) -> None:
        gone = np.flatnonzero(~result.keep)
        signals = {n: v.take(pa.array(gone)).to_pylist() for n, v in result.signals.items()}
        for number, (row, reason) in enumerate(zip(gone.tolist(), result.reasons, strict=True)):
            at = int(self.rows[first + row])
            self.reasons[at] = reason
            measured = {n: v[number] for n, v in signals.items()}
            self._gone.append({"row": at, "step": name, "reason": reason, "signals": measured})

    def kept(self, table: pa.Table) -> pa.Table:
        """The rows of ``table`` that are left, as edited, with the columns that steps added."""
        kept = table.take(pa.array(self.rows))
        changed = ["text"] if self._edited else []
        for name in [*changed, *self._added]:
            values = pa.chunked_array([self.docs.column(name)])
            index = kept.schema.get_field_index(name)
            kept = (
                kept.append_column(name, values)
                if index < 0
                else kept.set_column(index, name, values)
            )
        return kept

    def dropped(self) -> pa.Table:
        gone = sorted(self._gone, key=lambda found: found["row"])
        signals = [
            orjson.dumps({k: v for k, v in g["signals"].items() if v is not None and v == v})
            for g in gone
        ]
        return pa.table(
            {
                "row": pa.array([g["row"] for g in gone], pa.int64()),
                "step": pa.array([g["step"] for g in gone], pa.large_string()),
                "reason": pa.array([g["reason"] for g in gone], pa.large_string()),
                "signals": pa.array([s.decode() for s in signals], pa.large_string()),
            }
        )


def _documents(table: pa.Table) -> Docs:
    """The rows as documents: what is not given is made up, other columns are as they are."""
    if "text" not in table.column_names:
        found = ", ".join(table.column_names)
        hint = "rename the column that holds the text"
        raise WinnowError("no-text", f"the table has no column text, but {found}", hint)
    rows = len(table)
    made = {
        "id": pa.array([str(n) for n in range(rows)], pa.large_string()),
        "source": pa.array([SOURCE] * rows, pa.large_string()),
        "_source": pa.array([SOURCE] * rows, pa.large_string()),
        "_offset": pa.array(range(rows), pa.int64()),
    }
    arrays, fields = [], []
    for field in DOCUMENT_SCHEMA:
        given = table.column(field.name) if field.name in table.column_names else None
        if given is None or (field.name in made and given.null_count):
            arrays.append(made.get(field.name, pa.nulls(rows, field.type)))
        elif field.name == "text" and given.null_count:
            message = f"{given.null_count} of {rows} rows have no text"
            raise WinnowError("null-text", message, "drop the rows whose text is null")
        else:
            arrays.append(_plain(given).cast(field.type))
        fields.append(field)
    for name in table.column_names:
        if name not in DOCUMENT_SCHEMA.names:
            arrays.append(_plain(table.column(name)))
            fields.append(table.schema.field(name))
    return Docs(pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields)))


def _plain(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined if isinstance(joined, pa.Array) else pa.concat_arrays(joined.chunks)


def _batches(docs: Docs) -> list[Docs]:
    rows = len(docs)
    starts = range(0, max(1, rows), MAX_BATCH_ROWS)
    return [Docs(docs.batch.slice(start, MAX_BATCH_ROWS)) for start in starts]


def _joined(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches)
    arrays = [_plain(column) for column in table.columns]
    return pa.RecordBatch.from_arrays(arrays, schema=table.schema)


def _global(
    step: GlobalStep, docs: Docs, folder: Path, seed: int
) -> list[tuple[Docs, CheckedResult]]:
    """Map, reduce and apply a global step to the documents as one shard."""
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True)
    batches = _batches(docs)
    seen = pa.Table.from_batches([mapped(step, batch, None) for batch in batches])
    pq.write_table(seen, folder / "mapped.parquet", compression="none")
    pq.write_table(pa.Table.from_batches([docs.batch]), folder / "documents.parquet")
    documents = ShardDocuments(folder / "documents.parquet")
    given = ReduceInput((folder / "mapped.parquet",), (documents,), seed)
    reduced(step, given, artifacts)
    results, row = [], 0
    for batch in batches:
        results.append((batch, applied(step, batch, artifacts, Position(0, row))))
        row += len(batch)
    return results


def _check(step: Step, docs: Docs, columns: Sequence[str]) -> None:
    """Raises WinnowError for the first thing that is wrong with a step's parameters."""
    sources = tuple(dict.fromkeys(docs.column("source").to_pylist()))
    view = ManifestView(Path(), 0, sources, tuple(columns))
    for problem in step.check(view):
        raise WinnowError(problem.code, problem.message, problem.hint)
    for column in step.reads().values():
        if column.name not in docs.batch.schema.names:
            message = f"{type(step).__name__} reads a column {column.name!r} that is not there"
            raise WinnowError("unknown-column", message, f"columns: {', '.join(columns)}")


def _named(step: TableStep | Step) -> tuple[str, Step]:
    return (step.name, step.step) if isinstance(step, TableStep) else (type(step).__name__, step)


def _written(step: TableStep | Step) -> dict[str, Any]:
    """A step as a manifest has it."""
    if not isinstance(step, TableStep):
        hint = "name it in a manifest, as FILE.py:CLASS"
        message = f"{type(step).__name__} is no installed step, and files are read by workers"
        raise WinnowError("not-installed", message, hint)
    return {step.name: step.step.model_dump(mode="json", exclude_unset=True, exclude={"contents"})}


def _absolute(sources: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Sources whose paths begin at the current directory, as they would in any other call."""

    def absolute(path: str) -> str:
        return str(Path.cwd() / path)

    made = {}
    for name, source in sources.items():
        made[name] = dict(source)
        if "paths" in source:
            given = source["paths"]
            listed = isinstance(given, list | tuple)
            made[name]["paths"] = [*map(absolute, given)] if listed else absolute(str(given))
    return made
