from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import ShardError
from proxy.mixing.components import Component
from proxy.mixing.mix_sample import MixSample, fill, sample_mix
from proxy.mixing.mixes import Mix
from proxy.mixing.mixing_tasks import (
    CopyTokenizerTask,
    HeldOutTask,
    SampleTask,
    SplitTask,
    TokeniseTask,
    TrainTokenizerTask,
)
from proxy.mixing.tokenizer import committed_encoder
from proxy.mixing.training_pool import Categories, TrainingPool
from proxy.proxy_settings import END_OF_TEXT
from winnow.testing import Workbench, batch_of

SOURCES = ("web", "docs", "code")


def pool_of(
    sizes: dict[str, list[int]],
    scores: list[float] | None = None,
    categories: dict[str, list[str | None]] | None = None,
) -> TrainingPool:
    """A pool with one shard and documents of these numbers of tokens."""
    source = np.array([name for name, counts in sizes.items() for _ in counts], object)
    tokens = np.array([n for counts in sizes.values() for n in counts], np.int64)
    rows = np.arange(len(tokens))
    keys = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    return TrainingPool(
        source=source,
        key=keys,
        tokens=tokens,
        shard=np.zeros_like(rows),
        row=rows,
        start=np.cumsum(tokens) - tokens,
        scores={} if scores is None else {"quality": np.array(scores)},
        categories={
            name: Categories.of(pa.chunked_array([pa.array(values).dictionary_encode()]))
            for name, values in (categories or {}).items()
        },
    )


def components(mix: object) -> tuple[Component, ...]:
    return Mix.model_validate(mix).components(SOURCES)


def tokens_by_component(sample: MixSample) -> list[int]:
    return [share.tokens for share in sample.shares]


POOL = pool_of({"web": [50] * 100, "docs": [20] * 50, "code": [100] * 10})
WEIGHTS = st.lists(st.floats(0.01, 1), min_size=1, max_size=6)


@given(WEIGHTS, st.lists(st.integers(0, 500), min_size=6, max_size=6), st.integers(1, 2_000))
def test_fill_spends_the_budget_or_every_cap(
    weights: list[float], caps: list[int], budget: int
) -> None:
    share = np.array(weights) / sum(weights)
    cap = np.array(caps[: len(weights)], np.int64)
    quotas = fill(share, cap, budget)
    assert (quotas >= 0).all()
    assert (quotas <= cap).all()
    assert quotas.sum() == min(budget, cap.sum())
    # Those that are not full keep the ratio of their weights, to rounding.
    rest = np.flatnonzero(quotas < cap)
    for i in rest:
        for j in rest:
            assert abs(quotas[i] - quotas[j] * share[i] / share[j]) <= 1 + share[i] / share[j]


def test_weights_are_met_to_the_token() -> None:
    sample = sample_mix(POOL, components({"web": 0.5, "docs": 0.3, "code": 0.2}), 1_000, seed=1)
    assert tokens_by_component(sample) == [500, 300, 200]
    assert sample.tokens.sum() == 1_000


def test_proportional_follows_the_tokens_of_the_sources() -> None:
    sample = sample_mix(POOL, components("proportional"), 700, seed=1)
    assert tokens_by_component(sample) == [500, 100, 100]


def test_parts_without_a_weight_share_the_rest() -> None:
    sample = sample_mix(POOL, components({"web": 0.4, "docs": {}, "code": {}}), 1_000, seed=1)
    assert tokens_by_component(sample) == [400, 300, 300]


def test_without_a_budget_everything_is_drawn_once() -> None:
    sample = sample_mix(POOL, components("proportional"), None, seed=1)
    assert sorted(sample.document.tolist()) == list(range(160))
    assert set(sample.epoch.tolist()) == {0}


def test_an_epoch_cap_holds_and_others_make_up_for_it() -> None:
    sample = sample_mix(POOL, components({"web": 0.5, "docs": 0.5, "max_epochs": 1}), 4_000, seed=1)
    assert tokens_by_component(sample) == [3_000, 1_000]
    assert [share.wanted for share in sample.shares] == [2_000, 2_000]
    docs = sample.document[sample.component == 1]
    assert len(docs) == len(set(docs.tolist())) == 50


def test_a_mix_ends_short_when_every_source_is_at_its_cap() -> None:
    sample = sample_mix(
        POOL, components({"docs": 0.5, "code": 0.5, "max_epochs": 2}), 10_000, seed=1
    )
    assert tokens_by_component(sample) == [2_000, 2_000]
    assert [share.epochs for share in sample.shares] == [2.0, 2.0]


def test_an_epoch_is_over_before_the_next_begins_and_has_another_order() -> None:
    sample = sample_mix(POOL, components({"docs": 1.0}), 2_000, seed=1)
    first, second = sample.document[:50].tolist(), sample.document[50:].tolist()
    assert sorted(first) == sorted(second)
    assert first != second
    assert sample.epoch.tolist() == [0] * 50 + [1] * 50


def test_a_source_has_the_same_order_in_every_mix_of_a_seed() -> None:
    one = sample_mix(POOL, components({"web": 0.5, "docs": 0.5}), 1_000, seed=3)
    two = sample_mix(POOL, components({"docs": 0.2, "web": 0.8}), 2_000, seed=3)
    web_one = one.document[one.component == 0].tolist()
    web_two = two.document[two.component == 1].tolist()
    assert web_one == web_two[: len(web_one)]
    other = sample_mix(POOL, components({"web": 0.5, "docs": 0.5}), 1_000, seed=4)
    assert other.document[other.component == 0].tolist() != web_one


def test_a_bucket_keeps_the_order_of_its_source() -> None:
    pool = pool_of({"web": [10] * 100}, [i / 100 for i in range(100)])
    whole = sample_mix(pool, components({"web": 1.0}), None, seed=5).document.tolist()
    part = sample_mix(
        pool, components({"web": {"quality": "top 30%"}}), None, seed=5
    ).document.tolist()
    assert part == [row for row in whole if row >= 70]


@given(
    st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=30), min_size=2, max_size=3),
    st.integers(1, 3_000),
    st.integers(0, 2**40),
)
@settings(max_examples=150, deadline=None)
def test_shares_hold_all_along(sizes: list[list[int]], budget: int, seed: int) -> None:
    pool = pool_of(dict(zip(SOURCES, sizes, strict=False)))
    names = SOURCES[: len(sizes)]
    mix = dict(zip(names, (0.5, 0.3, 0.2), strict=False))
    if len(sizes) == 2:
        mix["docs"] = 0.5
    sample = sample_mix(pool, components(mix), budget, seed)
    total = sample.tokens.sum()
    ends = np.cumsum(sample.tokens)
    for number, share in enumerate(sample.shares):
        mine = np.cumsum(np.where(sample.component == number, sample.tokens, 0))
        # Never further from its share than the longest documents of all components together.
        assert (np.abs(mine - ends * share.tokens / total) <= 60 * len(sizes)).all()


def test_buckets_are_cut_at_token_weighted_quantiles() -> None:
    # The top document alone holds 30 % of the tokens.
    pool = pool_of({"web": [10] * 7 + [30]}, [0.1 * i for i in range(8)])
    sample = sample_mix(pool, components({"web": {"quality": "top 30%"}}), None, seed=0)
    assert sample.document.tolist() == [7]
    assert sample.shares[0].low == pytest.approx(0.7)
    assert sample.shares[0].high is None


def test_documents_without_a_score_are_in_no_bucket_and_counted() -> None:
    pool = pool_of({"web": [10] * 4}, [float("nan"), 0.2, 0.4, float("nan")])
    sample = sample_mix(pool, components({"web": {"quality": "top 100%"}}), None, seed=0)
    assert sorted(sample.document.tolist()) == [1, 2]
    assert sample.shares[0].unscored == 2


@pytest.mark.parametrize(
    ("mix", "scores", "code"),
    [
        ({"code": 1.0}, None, "empty-component"),
        ({"web": {"quality": "bottom 30%"}}, [0.5] * 4, "empty-component"),
        ({"web": {"quality": "top 30%"}}, None, "no-scores"),
    ],
)
def test_a_component_without_documents_fails(
    mix: object, scores: list[float] | None, code: str
) -> None:
    with pytest.raises(ShardError) as caught:
        sample_mix(pool_of({"web": [10] * 4}, scores), components(mix), 100, seed=0)
    assert caught.value.code == code


def test_parts_of_categories_are_drawn_by_their_weights_in_the_order_of_the_source() -> None:
    topics = ["law", "tax", "art", "art"] * 25
    pool = pool_of({"web": [10] * 100}, categories={"topic": topics})
    mix = {"web": [{"topic": "art", "weight": 0.2}, {"topic": ["law", "tax"], "weight": 0.8}]}
    sample = sample_mix(pool, components(mix), 500, seed=5)
    assert tokens_by_component(sample) == [100, 400]
    assert [share.available_documents for share in sample.shares] == [50, 50]
    whole = sample_mix(pool, components({"web": 1.0}), None, seed=5).document.tolist()
    for number, wanted in enumerate([{"art"}, {"law", "tax"}]):
        mine = sample.document[sample.component == number].tolist()
        assert mine == [row for row in whole if topics[row] in wanted][: len(mine)]


def test_categories_without_weights_share_by_their_tokens() -> None:
    pool = pool_of({"web": [10] * 10}, categories={"topic": ["law"] * 3 + ["tax"] * 6 + [None]})
    mix = {"web": [{"topic": "law"}, {"topic": "tax"}]}
    assert tokens_by_component(sample_mix(pool, components(mix), 60, seed=0)) == [20, 40]


def test_proportional_passes_over_a_source_without_documents() -> None:
    sample = sample_mix(
        pool_of({"web": [10] * 4, "docs": []}), components("proportional"), 30, seed=0
    )
    assert tokens_by_component(sample) == [30, 0, 0]


def test_a_mix_is_written_as_the_documents_it_lists(bench: Workbench) -> None:
    texts = {name: [f"{name} document {i} says {i * i}" for i in range(30)] for name in SOURCES}
    shards = {
        f"{name}-0": batch_of(name, rows, {"quality": range(30)}) for name, rows in texts.items()
    }
    corpus = bench.corpus(shards).outputs
    held = bench.done("held_out", {"h": HeldOutTask(corpus, (), (), 0)})
    split = bench.done("split", {k: SplitTask(corpus, k, held, 0) for k in shards})
    tokenizer = bench.done("tokenizer", {"t": TrainTokenizerTask(corpus, split, 300, END_OF_TEXT)})
    tokenised = bench.done(
        "tokenise", {k: TokeniseTask(corpus, k, split, tokenizer, END_OF_TEXT) for k in shards}
    )
    chosen = components({"web": {"quality": "top 50%"}, "docs": 0.5})
    work = SampleTask("half-seed1", "half", chosen, 900, 1, tokenised)
    done = bench.done("mix", {"half-seed1": work})
    (binary,) = done.outputs("half-seed1.bin")
    ids = np.fromfile(binary, "<u2")
    metrics = done.receipts()[0].metrics
    assert (len(ids), metrics["tokens"], metrics["short"]) == (900, 900, False)

    encoder = committed_encoder(tokenizer, END_OF_TEXT)
    sample = pq.read_table(done.outputs("sample/")[0]).to_pylist()
    at = 0
    for document in sample:
        piece = ids[at : at + document["tokens"]]
        at += document["tokens"]
        text = texts[document["task"].removesuffix("-0")][document["row"]]
        whole = encoder.tokenizer.encode(text).ids
        assert piece.tolist() == [*whole, encoder.end][: len(piece)]
    assert at == len(ids)
    assert {d["row"] >= 15 for d in sample if d["task"] == "web-0"} == {True}
    assert {d["component"] for d in sample} == {"web, quality top 50%", "docs"}


def byte_tokenizer(path: Path, first: int) -> Path:
    """A tokenizer of bytes whose ids begin at ``first``, the end of text before them."""
    names = [f"<unused {i}>" for i in range(first - 1)] + [END_OF_TEXT]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {name: i for i, name in enumerate([*names, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(path))
    return path


@pytest.mark.parametrize(("first", "dtype"), [(1, "<u2"), (128_000, "<u4")])
@pytest.mark.parametrize("budget", [None, 15_000])
def test_long_documents_stay_whole_and_only_their_ends_are_marked(
    bench: Workbench, first: int, dtype: str, budget: int | None
) -> None:
    texts = [f"{i} " * 2_000 for i in range(6)]
    corpus = bench.corpus({"web-0": batch_of("web", texts)}).outputs
    held = bench.done("held_out", {"h": HeldOutTask(corpus, (), (), 0)})
    split = bench.done("split", {"web-0": SplitTask(corpus, "web-0", held, 0)})
    path = byte_tokenizer(bench.folder / "tokenizer.json", first)
    copy = CopyTokenizerTask(path, sha256_file(path), END_OF_TEXT)
    tokenizer = bench.done("tokenizer", {"t": copy})
    work = TokeniseTask(corpus, "web-0", split, tokenizer, END_OF_TEXT)
    tokenised = bench.done("tokenise", {"web-0": work})
    mix = SampleTask("m-seed1", "m", components({"web": 1.0}), budget, 1, tokenised)
    done = bench.done("mix", {"m-seed1": mix})
    encoder = committed_encoder(tokenizer, END_OF_TEXT)
    ids = np.fromfile(done.outputs("m-seed1.bin")[0], dtype)
    documents = pq.read_table(done.outputs("sample/")[0]).to_pylist()
    whole = [
        token
        for document in documents
        for token in [*encoder.tokenizer.encode(texts[document["row"]]).ids, encoder.end]
    ]
    assert ids.tolist() == whole[:budget]
    assert len({document["row"] for document in documents}) == len(documents)
