from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ShardError
from proxy.mixing.components import Part
from proxy.mixing.mixing_tasks import HeldOutTask, SplitTask, TokeniseTask, TrainTokenizerTask
from proxy.mixing.training_pool import TrainingPool, quantile, select
from proxy.proxy_settings import END_OF_TEXT
from winnow.testing import Workbench, batch_of

Columns = dict[str, Sequence[Any]]
TYPES = {"topic": pa.large_string(), "format": pa.string(), "level": pa.int32()}


def tokenised(
    bench: Workbench, shards: dict[str, tuple[str, Columns]], columns: list[str]
) -> TrainingPool:
    """A pool read from real stages. ``shards`` are source and columns by key."""
    batches = {}
    for number, (key, (source, values)) in enumerate(shards.items()):
        rows = len(next(iter(values.values())))
        batch = batch_of(source, ["some words here"] * rows, first=100 * number)
        for name, column in values.items():
            if name == "language":
                batch = batch.set_column(4, "language", pa.array(column, pa.large_string()))
            else:
                batch = batch.append_column(name, pa.array(column, TYPES.get(name, pa.float32())))
        batches[key] = batch
    corpus = bench.corpus(batches).outputs
    held = bench.done("held_out", {"h": HeldOutTask(corpus, (), (), 0)})
    split = bench.done("split", {key: SplitTask(corpus, key, held, 0) for key in batches})
    tokenizer = bench.done("tokenizer", {"t": TrainTokenizerTask(corpus, split, 300, END_OF_TEXT)})
    works = {k: TokeniseTask(corpus, k, split, tokenizer, END_OF_TEXT) for k in batches}
    return TrainingPool.read(bench.done("tokenise", works), columns)


def chosen(pool: TrainingPool, part: object, source: str = "web") -> list[int]:
    return select(pool, Part.model_validate(part).component(source, 4)).documents.tolist()


@pytest.fixture
def pool(bench: Workbench) -> TrainingPool:
    web: Columns = {
        "topic": ["law", "tax", None, "law", "art"],
        "format": ["faq", "faq", "faq", "essay", None],
        "level": [3, 2, 1, None, 0],
        "quality": [0.5, 0.25, 0.125, 0.75, None],
        "language": ["en", "de", "en", None, "en"],
    }
    more: Columns = {"topic": ["tax", "art"], "level": [2, 3], "quality": [1, 0]}
    shards = {"web-0": ("web", web), "web-1": ("web", more), "docs-0": ("docs", {"level": [9]})}
    return tokenised(bench, shards, [*web, "missing"])


@pytest.mark.parametrize(
    ("part", "pieces"),
    [
        ({"topic": "law"}, [0, 3]),
        ({"topic": ["tax", "art"]}, [1, 4, 5, 6]),
        ({"topic": "law", "format": "faq"}, [0]),
        ({"language": "en"}, [0, 2, 4]),
        ({"level": 2}, [1, 5]),
        ({"level": [3, 0]}, [0, 4, 6]),
        ({"level": [3, 4, 5]}, [0, 6]),
        ({"quality": "top 100%"}, [0, 1, 2, 3, 5, 6]),
        ({}, [0, 1, 2, 3, 4, 5, 6]),
    ],
)
def test_documents_are_chosen_by_their_columns(
    pool: TrainingPool, part: object, pieces: list[int]
) -> None:
    assert chosen(pool, part) == pieces


def test_a_bucket_is_cut_among_the_documents_of_the_categories(pool: TrainingPool) -> None:
    assert chosen(pool, {"topic": "law", "quality": "top 50%"}) == [3]
    assert chosen(pool, {"topic": "law", "quality": "bottom 50%"}) == [0]
    assert chosen(pool, {"topic": ["tax", "art"], "quality": "top 30%"}) == [5]
    component = Part.model_validate({"topic": "art", "quality": "top 50%"}).component("web", 4)
    assert select(pool, component).unscored == 1


@pytest.mark.parametrize(
    ("part", "code", "said", "hint"),
    [
        ({"topic": "lwa"}, "unknown-category", "'lwa'", "there are: 'art', 'law', 'tax'"),
        ({"topic": ["law", "x"]}, "unknown-category", "'x'", "'tax'"),
        ({"level": [8, 9]}, "unknown-category", "has 8", "there are: 0, 1, 2, 3"),
        ({"level": [2, "x"]}, "unknown-category", "has 'x'", "0, 1, 2, 3"),
        ({"level": 9}, "unknown-category", "of 'web' has 9", "there are: 0, 1, 2, 3"),
        ({"level": "2"}, "unknown-category", "has '2'", "0, 1, 2, 3"),
        ({"quality": 7}, "unknown-category", "has 7", "0, '0.125', '0.25', '0.5', '0.75', 1"),
        ({"missing": "a"}, "no-categories", "'missing'", ""),
        ({"topic": "top 30%"}, "no-scores", "'topic'", ""),
        (
            {"topic": "tax", "format": "essay"},
            "empty-component",
            "topic tax, format essay",
            "all of",
        ),
        ({"topic": "art", "quality": "middle 1%"}, "empty-component", "middle 1%", "wider bucket"),
    ],
)
def test_what_chooses_no_document_fails_and_says_what_there_is(
    pool: TrainingPool, part: object, code: str, said: str, hint: str
) -> None:
    with pytest.raises(ShardError) as caught:
        chosen(pool, part)
    assert caught.value.code == code
    assert said in caught.value.message
    assert hint in caught.value.hint


def test_a_source_without_any_category_says_so(pool: TrainingPool) -> None:
    with pytest.raises(ShardError) as caught:
        chosen(pool, {"topic": "law"}, source="docs")
    assert caught.value.hint == "no document has any value there"


def test_many_categories_are_listed_in_part(bench: Workbench) -> None:
    topics = [f"t{number:02d}" for number in range(30)]
    pool = tokenised(bench, {"web-0": ("web", {"topic": topics})}, ["topic"])
    with pytest.raises(ShardError) as caught:
        chosen(pool, {"topic": "x"})
    assert "'t19', … (30 in all)" in caught.value.hint


def test_columns_may_have_the_names_of_the_index(bench: Workbench) -> None:
    columns: Columns = {"tokens": [1, 2, 3], "bytes": [3, 2, 1]}
    pool = tokenised(bench, {"web-0": ("web", columns)}, ["tokens", "bytes"])
    assert pool.scores["tokens"].tolist() == [1, 2, 3]
    assert pool.scores["bytes"].tolist() == [3, 2, 1]
    assert (pool.tokens > 3).all()


def test_categories_do_not_depend_on_shards(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    topics = ["law", "tax", None, "law", "art", "tax"]
    found = []
    for cuts in ([6], [2, 4], [1, 1, 1, 3]):
        starts = np.cumsum([0, *cuts]).tolist()
        shards: dict[str, tuple[str, Columns]] = {
            f"web-{n}": ("web", {"topic": topics[starts[n] : starts[n + 1]]})
            for n in range(len(cuts))
        }
        pool = tokenised(Workbench(tmp_path_factory.mktemp("cut")), shards, ["topic"])
        found.append([chosen(pool, {"topic": topic}) for topic in ("law", "tax", "art")])
    assert found == [[[0, 3], [1, 5], [4]]] * 3


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(1, 9)), min_size=1))
def test_neighbouring_buckets_share_nothing_and_leave_nothing(
    documents: list[tuple[float, int]],
) -> None:
    scores = np.array([score for score, _ in documents])
    tokens = np.array([n for _, n in documents])
    at = quantile(scores, tokens, 0.7)
    assert at in scores
    # At most 70 % of the tokens lie below, and with the threshold's own more than that.
    assert tokens[scores < at].sum() <= 0.7 * tokens.sum() + 1e-9
    assert tokens[scores <= at].sum() > 0.7 * tokens.sum() - 1e-9
