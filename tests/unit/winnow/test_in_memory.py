"""Steps on tables in memory give what a run gives, in the kind of table that they were given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import winnow as w
from winnow import FilterResult, RowStep, ThresholdFilter, WinnowError

TEXTS = ["the first of all texts", "no", "the first of all texts", "another text that is kept"]


class Length(ThresholdFilter):
    """Characters, of which there must be enough."""

    least: int = 5

    def measure(self, docs: w.Docs) -> w.Signals:
        return {"n": np.array([len(text) for text in docs.text.to_pylist()])}

    def rules(self) -> list[w.Rule]:
        return [w.Rule("short", "n", "least", least=self.least)]


class Upper(RowStep):
    """Edits the text and appends what it was."""

    def edits_text(self) -> bool:
        return True

    def adds(self) -> dict[str, pa.DataType]:
        return {"before": pa.large_string()}

    def filter(self, docs: w.Docs) -> FilterResult:
        texts = docs.text.to_pylist()
        upper: Any = [text.upper() for text in texts]
        return FilterResult(np.ones(len(docs), bool), text=upper, columns={"before": docs.text})


def table(texts: list[str] = TEXTS) -> pa.Table:
    return pa.table({"text": texts, "number": range(len(texts))})


def test_kept_rows_come_back_with_reasons_for_the_others() -> None:
    found = w.Pipeline([Length(), w.filters.exact_dedup(), Upper()]).run(table())
    assert found.kept.to_pylist() == [
        {"text": TEXTS[0].upper(), "number": 0, "before": TEXTS[0]},
        {"text": TEXTS[3].upper(), "number": 3, "before": TEXTS[3]},
    ]
    assert found.reasons == [None, "short", "exact_duplicate", None]
    rows = found.dropped.to_pylist()
    assert [(r["row"], r["step"]) for r in rows] == [(1, "Length"), (2, "exact_dedup")]
    assert json.loads(rows[0]["signals"]) == {"n": 2}
    assert json.loads(rows[1]["signals"])["duplicate_of"] == "0"


def test_a_step_is_called_by_its_name_with_its_parameters() -> None:
    step = w.filters.sampler(rate=0.0)
    assert step(table()).reasons == ["sampler"] * 4
    assert "sampler" in repr(step)
    assert {"gopher_quality", "exact_dedup"} <= set(dir(w.filters))
    with pytest.raises(AttributeError, match="did you mean 'gopher_quality'"):
        _ = w.filters.gopher_qualty
    with pytest.raises(ValueError, match="rate"):
        w.filters.sampler(rate=2)


def test_record_batches_and_iterators_of_them() -> None:
    batches = table().to_batches(max_chunksize=2)
    one = w.Pipeline([Length()]).run(batches[0])
    assert isinstance(one.kept, pa.RecordBatch)
    assert one.kept.to_pydict() == {"text": [TEXTS[0]], "number": [0]}
    found = list(w.Pipeline([Length()]).run(iter(batches)))
    assert [each.reasons for each in found] == [[None, "short"], [None, None]]


def test_pandas_frames_keep_their_index() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS, "score": [1.5, None, 2.5, 3.5]}, index=list("abcd"))
    kept = w.Pipeline([Length()]).run(frame).kept
    assert isinstance(kept, pandas.DataFrame)
    assert kept.index.tolist() == ["a", "c", "d"]
    assert kept["score"].tolist() == [1.5, 2.5, 3.5]
    assert [*kept.columns] == ["text", "score"]


def test_polars_frames() -> None:
    polars = pytest.importorskip("polars")
    kept = w.Pipeline([Length(), Upper()]).run(polars.DataFrame({"text": TEXTS})).kept
    assert isinstance(kept, polars.DataFrame)
    assert kept["before"].to_list() == [TEXTS[0], TEXTS[2], TEXTS[3]]


def test_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    kept = w.Pipeline([Length()]).run(datasets.Dataset.from_dict({"text": TEXTS})).kept
    assert isinstance(kept, datasets.Dataset)
    assert kept["text"][:] == [TEXTS[0], TEXTS[2], TEXTS[3]]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (pa.table({"body": ["a"]}), "no column text, but body"),
        (pa.table({"text": ["a", None]}), "1 of 2 rows have no text"),
        ("a text", "str is no table"),
        ([1, 2], "list is no table"),
    ],
)
def test_what_cannot_be_filtered_is_refused(data: Any, words: str) -> None:
    with pytest.raises(WinnowError, match=words):
        w.Pipeline([Length()]).run(data)


def test_columns_that_are_not_there_are_named() -> None:
    class Reads(Length):
        def reads(self) -> dict[w.Location, w.Column]:
            return {("column",): w.Column("score")}

    with pytest.raises(WinnowError, match="reads a column 'score'"):
        w.Pipeline([Reads()]).run(table())


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=9), max_size=12))
@settings(max_examples=40, deadline=None)
def test_rows_given_are_kept_or_dropped_with_a_reason(texts: list[str]) -> None:
    given = pa.table({"text": pa.array(texts, pa.string()), "n": pa.array(range(len(texts)))})
    found = w.Pipeline([Length(least=3), w.filters.exact_dedup()]).run(given)
    kept = [n for n, reason in enumerate(found.reasons) if reason is None]
    assert found.kept["n"].to_pylist() == kept
    assert found.dropped["row"].to_pylist() == [n for n in range(len(texts)) if n not in kept]
    assert found.kept.schema.names == ["text", "n"]
    wanted = dict.fromkeys(text for text in texts if len(text) >= 3)
    assert found.kept["text"].to_pylist() == list(wanted)


def test_a_manifest_is_loaded_run_and_its_results_read(tmp_path: Path) -> None:
    lines = [json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(TEXTS)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    (tmp_path / "m.yaml").write_text(
        "sources: {web: {format: jsonl, paths: a.jsonl}}\nsteps: [exact_dedup]\n"
    )
    manifest = w.load_manifest(tmp_path / "m.yaml", ["executor.workers=1"], tmp_path / "out")
    done = w.run(manifest)
    assert (done.exit_code, done.documents.kept.documents) == (0, 3)
    assert w.results(tmp_path / "out") == done


def test_files_go_through_a_pipeline_as_through_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [json.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(TEXTS)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    steps = w.Pipeline([w.filters.regex(regex_exp="^no$"), w.filters.exact_dedup()])
    done = steps.run_files({"web": {"format": "jsonl", "paths": "a.jsonl"}}, "out", workers=1)
    assert done.documents.kept.documents == 2
    assert w.load_manifest("out/manifest.yaml").steps[0].name == "regex"
    with pytest.raises(WinnowError, match="Length is no installed step"):
        w.Pipeline([Length()]).run_files({"web": {"format": "jsonl", "paths": "a.jsonl"}}, "out")
