"""Documents seen through annotations are those that a plain table gives, row by row."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ShardError
from pipeline.parquet import DocumentWriter
from pipeline.shard_documents import ShardDocuments, write_annotation
from winnow.testing.workbench import batch_of


def written(folder: Path, texts: list[str], groups: int = 1) -> Path:
    path = folder / "documents.parquet"
    with DocumentWriter(path, batch_of("web", []).schema) as writer:
        for part in np.array_split(np.arange(len(texts)), groups):
            batch = batch_of(
                "web", [texts[i] for i in part], first=int(part[0]) if len(part) else 0
            )
            writer.write(batch)
            writer._flush()  # a row group of its own
    return path


def seen(documents: ShardDocuments, columns: list[str]) -> list[dict[str, object]]:
    return [row for batch in documents.batches(columns) for row in batch.to_pylist()]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 40),
    st.integers(1, 4),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(["score", "language", ""])), max_size=4),
    st.integers(0, 2**32 - 1),
)
def test_annotations_filter_and_add_columns_in_their_order(
    tmp_path_factory: pytest.TempPathFactory,
    rows: int,
    groups: int,
    stages: list[tuple[float, str]],
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("shard")
    texts = [f"text {n}" for n in range(rows)]
    path = written(folder, texts, groups)
    table = pq.read_table(path)
    rng = np.random.default_rng(seed)
    annotations = []
    for number, (share, name) in enumerate(stages):
        stay = np.flatnonzero(rng.random(len(table)) < share)
        values = pa.array([f"{number}.{i}" for i in stay], pa.large_string())
        added = {name: pa.chunked_array([values])} if name else {}
        annotations.append(folder / f"{number}.parquet")
        write_annotation(annotations[-1], stay, added)
        table = table.take(pa.array(stay))
        for column, values in added.items():
            at = table.schema.get_field_index(column)
            add = table.append_column if at < 0 else partial(table.set_column, at)
            table = add(column, values)
    documents = ShardDocuments(path, tuple(annotations))
    assert documents.schema.names == table.column_names
    assert len(documents) == len(table)
    assert seen(documents, table.column_names) == table.to_pylist()
    assert seen(documents, ["id"]) == table.select(["id"]).to_pylist()
    some = np.flatnonzero(rng.random(len(table)) < 0.5)
    names = ["text", *(name for _, name in stages[-1:] if name)]
    assert (
        documents.take(some, names).to_pylist()
        == table.select(names).take(pa.array(some)).to_pylist()
    )


def test_a_text_is_shortened_as_it_is_read(tmp_path: Path) -> None:
    documents = ShardDocuments(written(tmp_path, ["abc", "def", "ghi"], 2))
    table = documents.take(
        np.array([0, 2]), ["text", "id"], lambda text: pa.compute.utf8_slice_codeunits(text, 0, 1)
    )
    assert table.to_pylist() == [{"text": "a", "id": "web/0"}, {"text": "g", "id": "web/2"}]


def test_an_annotation_of_more_documents_than_there_are_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, ["a", "b"])
    write_annotation(tmp_path / "rows.parquet", np.array([0, 5]), {})
    with pytest.raises(ShardError, match="has 2 documents, and document 5 was kept"):
        list(ShardDocuments(path, (tmp_path / "rows.parquet",)).batches())


def test_a_damaged_annotation_names_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, ["a", "b"])
    rows = tmp_path / "rows.parquet"
    write_annotation(rows, np.array([0]), {})
    rows.write_bytes(rows.read_bytes()[:-10])
    with pytest.raises(ShardError, match=r"rows\.parquet"):
        list(ShardDocuments(path, (rows,)).batches())
