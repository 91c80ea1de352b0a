from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shards import commit_shards
from tasks import DropShort, Misshapen, Shout, documents

from pipeline.documents import QUARANTINE_SCHEMA, Docs
from pipeline.engine.commit import check_balance
from pipeline.engine.global_tasks import ReduceTask
from pipeline.engine.outcome_writer import AnnotationWriter, DocumentsWriter
from pipeline.engine.row_tasks import REDUCED, ApplyTask, CorpusTask, RowTask
from pipeline.engine.stage import (
    CorpusView,
    Count,
    Counts,
    Output,
    Task,
    TaskContext,
    TaskResult,
)
from pipeline.engine.step_results import checked, filtered
from pipeline.errors import ShardError
from pipeline.shard_documents import ShardDocuments, write_annotation
from pipeline.sources.source import FilePart, InputFile, Read, Shard, SourceFormat
from pipeline.step import FilterResult, GlobalStep, Position, ReduceInput, RowStep
from winnow.testing.workbench import Workbench

SHARD = Shard("web", 0, (FilePart(InputFile("/nowhere", "web.jsonl")),))


def bad_rows(number: int) -> pa.RecordBatch:
    row = {
        "source": "web",
        "_source": "web.jsonl",
        "_offset": 9,
        "code": "malformed-json",
        "message": "no",
        "raw": b"{",
        "raw_bytes": 1,
    }
    return pa.RecordBatch.from_pylist([row] * number, schema=QUARANTINE_SCHEMA)


class Given(SourceFormat):
    """A source of given batches."""

    batches: tuple[tuple[str, ...], ...] = ()
    bad: int = 0

    def read(self, shard: Shard) -> Iterator[Read]:
        for texts in self.batches:
            yield Read(documents=documents(list(texts)))
        if self.bad:
            yield Read(quarantined=bad_rows(self.bad))


def run(folder: Path, source: Given, *steps: object) -> TaskResult:
    named = tuple((type(step).__name__, step) for step in steps)
    folder.mkdir(exist_ok=True)
    return RowTask("k", SHARD, source, named).run(TaskContext(folder))  # type: ignore[arg-type]


def rows_of(folder: Path, door: str) -> list[dict[str, object]]:
    return pq.read_table(folder / door / "k.parquet").to_pylist()


def test_kept_and_dropped_leave_by_their_own_doors(tmp_path: Path) -> None:
    outcome = run(tmp_path, Given(batches=(("long enough", "no"), ("x", "also long"))), DropShort())
    assert [row["text"] for row in rows_of(tmp_path, "kept")] == ["long enough", "also long"]
    dropped = rows_of(tmp_path, "dropped")
    assert [(row["text"], row["step"], row["reason"]) for row in dropped] == [
        ("no", "DropShort", "short"),
        ("x", "DropShort", "short"),
    ]
    assert [json.loads(str(row["signals"])) for row in dropped] == [{"length": 2}, {"length": 1}]
    assert outcome.counts is not None
    assert outcome.counts.kept == Count(documents=2, bytes=20)
    assert outcome.counts.dropped == {"DropShort": {"short": Count(documents=2, bytes=3)}}


class Partial(DropShort):
    def metrics(self) -> dict[str, object]:
        return {"sets": 2, "warnings": ["one set was left out"]}


def test_metrics_of_steps_stand_under_their_labels_and_warnings_together(tmp_path: Path) -> None:
    given = Given(batches=(("long enough",),))
    assert run(tmp_path / "a", given, DropShort()).metrics == {}
    assert run(tmp_path / "b", given, Partial()).metrics == {
        "Partial": {"sets": 2},
        "warnings": ["one set was left out"],
    }
    both = run(tmp_path / "c", given, Shout(), Partial()).metrics
    assert both["warnings"] == ["Partial: one set was left out"]


def test_later_steps_see_only_what_earlier_ones_kept(tmp_path: Path) -> None:
    outcome = run(tmp_path, Given(batches=(("aaaa", "b"),)), DropShort(), Shout())
    assert outcome.counts is not None
    assert outcome.counts.entered["DropShort"].documents == 2
    assert outcome.counts.entered["Shout"].documents == 1


def test_edited_text_and_new_columns_are_kept(tmp_path: Path) -> None:
    run(tmp_path, Given(batches=(("quiet", "words"),)), Shout())
    kept = rows_of(tmp_path, "kept")
    assert [row["text"] for row in kept] == ["QUIET", "WORDS"]
    assert [row["loudness"] for row in kept] == [5.0, 5.0]


def test_bytes_are_of_utf8(tmp_path: Path) -> None:
    outcome = run(tmp_path, Given(batches=(("äöü€",),)))
    assert outcome.counts is not None
    assert outcome.counts.kept == Count(documents=1, bytes=9)
    assert outcome.counts.by_source == {"web": Count(documents=1, bytes=9)}


def test_bad_rows_are_quarantined_with_their_code(tmp_path: Path) -> None:
    outcome = run(tmp_path, Given(batches=(("some text",),), bad=1, max_bad=0.5))
    assert outcome.counts is not None
    assert outcome.counts.quarantined == {"malformed-json": 1}
    assert outcome.counts.rows == 2
    assert [row["code"] for row in rows_of(tmp_path, "quarantine")] == ["malformed-json"]


def test_too_many_bad_rows_fail_the_shard(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"2 of 3 rows of web\.jsonl are bad") as caught:
        run(tmp_path, Given(batches=(("some text",),), bad=2, max_bad=0.5))
    assert "max_bad" in caught.value.hint


def test_no_steps_keep_everything(tmp_path: Path) -> None:
    outcome = run(tmp_path, Given(batches=(("a", "b"),)))
    assert outcome.counts is not None
    assert outcome.counts.kept.documents == 2


def test_a_result_of_another_length_names_the_step_and_the_real_batch(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"Misshapen \(.*\): keep has 2 .* has 1 documents"):
        run(tmp_path, Given(batches=(("a",),)), Misshapen())


class Columns(RowStep):
    """Declares a number, and refuses to be asked about nothing."""

    def adds(self) -> dict[str, pa.DataType]:
        return {"n": pa.float32()}

    def filter(self, docs: Docs) -> FilterResult:
        assert len(docs) > 0
        return FilterResult([True] * len(docs), columns={"n": list(range(len(docs)))})  # type: ignore[arg-type]


def test_shards_have_the_declared_columns_whatever_is_in_them(tmp_path: Path) -> None:
    run(tmp_path / "none", Given(allow_empty=True), Columns())
    run(tmp_path / "all", Given(batches=(("ab", "cde"), ("f",))), Columns())
    run(tmp_path / "gone", Given(batches=(("a",),)), DropShort(), Columns())
    schemas = [
        pq.read_schema(tmp_path / name / "kept" / "k.parquet") for name in ("none", "all", "gone")
    ]
    assert schemas[0].field("n").type == pa.float32()
    assert schemas[0] == schemas[1] == schemas[2]


class Fails(RowStep):
    """Cannot take one of the documents."""

    def filter(self, docs: Docs) -> FilterResult:
        if "bad" in docs.text.to_pylist():
            raise ValueError("no such text")
        return FilterResult(np.ones(len(docs), dtype=bool))


def test_a_step_that_raises_is_named_with_its_line_and_the_document(tmp_path: Path) -> None:
    source = Given(batches=(("good",), ("fine", "bad", "bad")))
    with pytest.raises(ShardError, match="no such text") as caught:
        run(tmp_path, source, Fails())
    assert re.search(
        r"^Fails \(\S*test_row_tasks\.py:\d+\): filter raised ValueError: no such text "
        r"at \S*test_row_tasks\.py:\d+, on document 'web/1' \(web\.jsonl:2\)$",
        caught.value.message,
    )


@given(
    st.lists(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=6), max_size=4),
    st.integers(0, 6),
)
@settings(max_examples=40)
def test_rows_in_equal_rows_out_whatever_the_text(batches: list[list[str]], least: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = Given(batches=tuple(map(tuple, batches)), allow_empty=True)
        outcome = run(folder, source, DropShort(least=least), Shout())
        assert outcome.counts is not None
        assert outcome.counts.rows == sum(map(len, batches))
        outputs = [
            Output(
                path=path.relative_to(folder).as_posix(),
                bytes=0,
                sha256="",
                rows=pq.read_metadata(path).num_rows,
            )
            for path in folder.rglob("*.parquet")
        ]
        check_balance(outcome.counts, outputs)


class Even(GlobalStep):
    """Keeps every second document of a shard and adds its number."""

    def adds(self) -> dict[str, pa.DataType]:
        return {"number": pa.int64()}

    def map(self, docs: Docs) -> pa.RecordBatch:
        return docs.batch.select(["id"])

    def reduce(self, reduce_input: ReduceInput, folder: Path) -> dict[str, object]:
        (folder / "nothing").touch()
        return {}

    def apply(self, docs: Docs, artifacts: Path, at: Position) -> FilterResult:
        numbers = np.arange(at.row, at.row + len(docs))
        return FilterResult(numbers % 2 == 0, "odd", columns={"number": numbers})


def apply(
    folder: Path, texts: list[str], *then: RowStep, edits: bool = False
) -> tuple[Counts, ShardDocuments, list[ShardDocuments]]:
    """The counts of an ApplyTask, what it leaves, and what it dropped."""
    corpus = CorpusView(commit_shards(folder, {"k": documents(texts)}))
    reduce = ReduceTask(corpus, corpus.base, Even(), 1)
    bench = Workbench(folder / "bench")
    artifacts = bench.run(bench.make("reduce", [Task(REDUCED, reduce)], {}, []))
    steps = tuple((type(step).__name__, step) for step in then)
    task = ApplyTask("k", corpus, artifacts, "even", Even(), steps, edits)
    stage = bench.make("apply", [Task("k", task)], {}, [])
    stage = replace(stage, before=corpus, annotates=not edits)
    bench.run(stage)
    counts = stage.outputs.receipt("k").counts
    assert counts is not None
    return counts, stage.corpus.shard("k"), list(stage.dropped("k"))


def test_a_global_step_and_the_row_steps_after_it_write_no_documents(tmp_path: Path) -> None:
    counts, left, (dropped,) = apply(tmp_path, ["aaaaa", "bb", "cc", "d", "ffffff"], DropShort())
    assert left.file.parts[-2] == "kept"
    assert [path.parts[-2] for path in left.annotations] == ["kept_rows"]
    rows = [row for batch in left.batches() for row in batch.to_pylist()]
    assert [(row["text"], row["number"]) for row in rows] == [("aaaaa", 0), ("ffffff", 4)]
    gone = [row for batch in dropped.batches() for row in batch.to_pylist()]
    assert [(row["text"], row["step"], row["reason"]) for row in gone] == [
        ("bb", "even", "odd"),
        ("cc", "DropShort", "short"),
        ("d", "even", "odd"),
    ]
    assert json.loads(gone[1]["signals"]) == {"length": 2}
    assert counts.rows == 5
    assert counts.kept == Count(documents=2, bytes=11)
    assert counts.entered == {
        "even": Count(documents=5, bytes=16),
        "DropShort": Count(documents=3, bytes=13),
    }


def test_texts_that_a_later_step_edits_are_written_with_all_columns(tmp_path: Path) -> None:
    _, left, (dropped,) = apply(tmp_path, ["some", "no", "text"], Shout(), edits=True)
    assert left.annotations == ()
    rows = [row for batch in left.batches() for row in batch.to_pylist()]
    assert [(row["text"], row["number"], row["loudness"]) for row in rows] == [
        ("SOME", 0, 4.0),
        ("TEXT", 2, 4.0),
    ]
    assert [batch.column("text").to_pylist() for batch in dropped.batches()] == [["no"]]


@pytest.mark.parametrize("edits", [False, True])
def test_columns_are_there_even_in_a_shard_without_documents(tmp_path: Path, edits: bool) -> None:
    _, left, dropped = apply(tmp_path, [], Shout(), edits=edits)
    assert {"number", "loudness"} < set(left.schema.names)
    assert (len(left), list(left.batches()), dropped) == (0, [], [])


def test_a_stage_in_which_all_stay_as_they_are_writes_nothing(tmp_path: Path) -> None:
    with AnnotationWriter(tmp_path, "k") as writer:
        docs = Docs(documents(["long enough", "text"]))
        writer.met(Read(documents=docs.batch))
        writer.keep(writer.settle(docs, "s", filtered(DropShort(), docs)))
    assert list(tmp_path.iterdir()) == []
    check_balance(writer.counts, [])


def test_the_corpus_is_written_as_its_view_shows_it(tmp_path: Path) -> None:
    corpus = CorpusView(commit_shards(tmp_path, {"k": documents(["a", "b", "c"])}))
    rows = tmp_path / "rows.parquet"
    write_annotation(rows, np.array([0, 2]), {"n": pa.chunked_array([[1, 2]])})
    shown = replace(corpus.shard("k"), annotations=(rows,))

    class One(CorpusView):
        def shard(self, key: str) -> ShardDocuments:
            return shown

    CorpusTask("k", One(corpus.base)).run(TaskContext(tmp_path / "out"))
    table = pq.read_table(tmp_path / "out" / "kept" / "k.parquet")
    assert table.select(["text", "n"]).to_pylist() == [
        {"text": "a", "n": 1},
        {"text": "c", "n": 2},
    ]


def test_reason_per_row_and_unmeasured_signals(tmp_path: Path) -> None:
    docs = Docs(documents(["a", "b", "c"]))
    verdict = FilterResult.of_codes(
        np.array([2, 0, 1]), ["first", "second"], {"score": np.array([np.nan, 1.0, 2.0])}
    )
    with DocumentsWriter(tmp_path, "k") as writer:
        writer.met(Read(documents=docs.batch))
        writer.keep(writer.settle(docs, "s", checked(DropShort(), verdict, docs)))
    dropped = rows_of(tmp_path, "dropped")
    assert [(row["reason"], row["signals"]) for row in dropped] == [
        ("second", "{}"),
        ("first", '{"score":2.0}'),
    ]


def test_equal_shards_give_equal_bytes(tmp_path: Path) -> None:
    source = Given(batches=(("long enough", "no"), ("another text",)))
    run(tmp_path / "one", source, DropShort())
    run(tmp_path / "two", replace_nothing(source), DropShort())
    for door in ("kept", "dropped"):
        one = (tmp_path / "one" / door / "k.parquet").read_bytes()
        assert one == (tmp_path / "two" / door / "k.parquet").read_bytes()


def replace_nothing(source: Given) -> Given:
    assert replace(SHARD) == SHARD
    return source.model_copy()
