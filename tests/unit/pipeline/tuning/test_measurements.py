from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from shards import committed

from pipeline.engine.stage import Count, Stage
from pipeline.errors import ShardError
from pipeline.manifest import load_manifest
from pipeline.parquet import DocumentWriter
from pipeline.tuning.measure_run import measured_stage
from pipeline.tuning.measurements import Measurements, read_measurements


def stage_of(path: Path) -> Stage:
    return measured_stage(load_manifest(path, (), path.parent / "out"), (), None)


def read(path: Path) -> Measurements:
    signals = ["Sized.length", "Sized.share", "Sized.nothing"]
    reasons = {"Loud": "Loud.reason", "Sized": "Sized.reason"}
    return read_measurements(stage_of(path), ["a", "b"], signals, reasons)


def test_signals_are_read_in_the_order_of_the_input(measured_once: Path) -> None:
    found = read(measured_once)
    assert found.signals["Sized.length"].tolist()[:5] == [4, 17, 8, 33, 5]
    assert found.signals["Sized.length"].dtype == np.float64
    assert np.isnan(found.signals["Sized.share"][-1]), "of an empty text"
    assert len(found) == 12


def test_what_is_not_stored_is_left_out(measured_once: Path) -> None:
    found = read(measured_once)
    assert set(found.signals) == {"Sized.length", "Sized.share"}
    assert set(found.reasons) == {"Loud"}


def test_sources_are_counted_also_when_nothing_is_chosen(measured_once: Path) -> None:
    found = read(measured_once)
    chosen = found.signals["Sized.length"] > 20
    assert found.count(chosen) == Count(documents=2, bytes=33 + 60)
    assert found.by_source(chosen) == {"a": Count(documents=2, bytes=93), "b": Count()}


def test_reasons_are_read_with_the_empty_one(measured_once: Path) -> None:
    reasons = read(measured_once).reasons["Loud"]
    assert set(reasons.names) == {"", "loud"}
    assert [row for row in range(12) if reasons.names[reasons.codes[row]]] == [4]


def test_documents_are_fetched_by_row_over_all_files(measured_once: Path) -> None:
    found = read(measured_once).documents([11, 0, 5, 5])
    assert {row: found[row]["id"] for row in found} == {0: "a1-0", 5: "a2-0", 11: "b1-2"}
    assert found[5]["text"] == "hello | world!"


def test_a_shard_without_documents_does_not_hide_columns(measured: Path) -> None:
    full = stage_of(measured)
    (_, second) = full.outputs.outputs("kept/")[:2]
    schema = pa.schema([("source", pa.large_string()), ("text_bytes", pa.int64())])

    def empty(out: Path) -> None:
        with DocumentWriter(out / "kept" / "a.parquet", schema) as writer:
            writer.write(pa.RecordBatch.from_pylist([], schema=schema))

    def copy(out: Path) -> None:
        (out / "kept").mkdir()
        (out / "kept" / "b.parquet").write_bytes(second.read_bytes())

    folder = measured.parent / "other"
    stage = replace(full, outputs=committed(folder, {"a": empty, "b": copy}))
    found = read_measurements(stage, ["a"], ["Sized.length"], {"Loud": "Loud.reason"})
    assert found.signals["Sized.length"].tolist() == [14, 12, 4, 60]
    assert found.documents([3])[3]["id"] == "a2-3"
    alone = replace(full, outputs=committed(folder / "alone", {"a": empty}))
    nothing = read_measurements(alone, ["a"], ["Sized.length"], {})
    assert len(nothing) == 0
    assert nothing.by_source(np.zeros(0, bool)) == {"a": Count()}


def test_a_damaged_file_is_named(measured: Path) -> None:
    stage = stage_of(measured)
    path = stage.outputs.outputs("kept/")[0]
    data = bytearray(path.read_bytes())
    data[100:400] = bytes(300)
    path.write_bytes(data)
    with pytest.raises(ShardError, match="corrupt-parquet"):
        read_measurements(stage, ["a", "b"], ["Sized.length"], {"Loud": "Loud.reason"})
