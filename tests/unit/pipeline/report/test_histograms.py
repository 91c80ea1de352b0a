from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.parquet import DocumentWriter
from pipeline.report.charts import svg
from pipeline.report.histograms import chart, spread
from pipeline.shard_documents import ShardDocuments

SCHEMA = pa.schema([("source", pa.large_string()), ("score", pa.float64())])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scores")


def shard_of(folder: Path, scores: Sequence[float | None]) -> ShardDocuments:
    path = folder / "kept.parquet"
    rows = [{"source": "web", "score": score} for score in scores]
    with DocumentWriter(path, SCHEMA) as writer:
        writer.write(pa.RecordBatch.from_pylist(rows, schema=SCHEMA))
    return ShardDocuments(path)


@given(scores=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_quantiles_are_near_those_of_the_scores(folder: Path, scores: list[float]) -> None:
    found = spread([shard_of(folder, scores)], "score", ["web"])
    assert found is not None
    assert found.counts["web"].sum() == len(scores)
    assert not found.is_log or min(scores) >= 0
    for share in (0.25, 0.5, 0.75):
        quantile = found.quantile("web", share)
        assert quantile is not None
        below, above = (np.quantile(scores, share, method=m) for m in ("lower", "higher"))  # type: ignore[call-overload]
        ends = [np.log1p(v) if found.is_log else v for v in (found.low, found.high, below, above)]
        place = np.log1p(quantile) if found.is_log else quantile
        step = (ends[1] - ends[0]) / 1000
        assert ends[2] - step - 1e-9 <= place <= ends[3] + step + 1e-9


def test_a_long_tail_has_bins_of_logarithms(folder: Path) -> None:
    scores = [*range(1000), 2_000_000.0]
    found = spread([shard_of(folder, scores)], "score", ["web"])
    assert found is not None
    assert found.is_log
    assert found.quantile("web", 0.5) == pytest.approx(500, rel=0.02)
    drawn = chart(found)
    assert svg(drawn.spec, drawn.alt, "f-").startswith("<svg")
    assert "Medians: web 5" in drawn.alt


@pytest.mark.parametrize("scores", [[0.1, 0.9], [-5.0, 100.0], [3.0, 3.0], [0.0, 500.0, 600.0]])
def test_other_scores_have_equal_bins(folder: Path, scores: list[float]) -> None:
    found = spread([shard_of(folder, scores)], "score", ["web"])
    assert found is not None
    assert not found.is_log


def test_documents_without_a_finite_score_are_counted_apart(folder: Path) -> None:
    found = spread([shard_of(folder, [1.0, None, float("nan"), float("inf")])], "score", ["web"])
    assert found is not None
    assert (found.counts["web"].sum(), found.missing["web"]) == (1, 3)
