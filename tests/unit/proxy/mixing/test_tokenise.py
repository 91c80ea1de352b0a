from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engine.stage import StageOutputs
from proxy.mixing.held_out import HELD_OUT
from proxy.mixing.mixing_tasks import (
    HELD_OUT_TOKENS,
    HeldOutTask,
    SplitTask,
    TokeniseHeldOutTask,
    TokeniseTask,
    TrainTokenizerTask,
)
from proxy.mixing.split import TRAINING, read_split
from proxy.mixing.tokenise import category_columns, encode, score_columns
from proxy.mixing.tokenizer import Encoder, committed_encoder
from proxy.proxy_settings import END_OF_TEXT
from proxy.training.evaluate import read_held_out
from winnow.testing import Workbench, batch_of

WORDS = [
    "cats",
    "naïve",
    "dogs:\n\n ",
    "7919",
    "水",
    END_OF_TEXT,
    *(a + b for a in "bcdfghjklm" for b in "aeiouy"),
]
TEXTS = [" ".join(random.Random(i).choices(WORDS, k=40)) for i in range(60)]


def tokenised(bench: Workbench, parts: int, share: float = 0.2) -> dict[str, StageOutputs]:
    """Stages up to tokenised shards, of TEXTS in ``parts`` shards."""
    size = len(TEXTS) // parts
    shards = {
        f"web-{n}": batch_of(
            "web",
            TEXTS[n * size : (n + 1) * size],
            {"quality": [None if i % 9 == 0 else i / 60 for i in range(n * size, (n + 1) * size)]},
            first=n * size,
        )
        for n in range(parts)
    }
    corpus = bench.corpus(shards).outputs
    held = bench.done("held_out", {"h": HeldOutTask(corpus, (("web", share),), (), 1)})
    split = bench.done("split", {key: SplitTask(corpus, key, held, 1) for key in shards})
    tokenizer = bench.done("tokenizer", {"t": TrainTokenizerTask(corpus, split, 320, END_OF_TEXT)})
    works = {k: TokeniseTask(corpus, k, split, tokenizer, END_OF_TEXT) for k in shards}
    return {
        "held_out": held,
        "split": split,
        "tokenizer": tokenizer,
        "tokenise": bench.done("tokenise", works),
        "evaluation": bench.done(
            "evaluation", {"e": TokeniseHeldOutTask(held, tokenizer, END_OF_TEXT)}
        ),
    }


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    stages = tokenised(Workbench(tmp_path_factory.mktemp("encoder")), 1)
    return committed_encoder(stages["tokenizer"], END_OF_TEXT)


@given(texts=st.lists(st.text(max_size=60), max_size=6))
@settings(max_examples=200, deadline=None)
def test_tokens_are_those_of_the_library_text_by_text(encoder: Encoder, texts: list[str]) -> None:
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    ids, starts = encode(encoder, pa.array(texts, pa.large_string()))
    found = [ids[a:b].tolist() for a, b in pairwise(starts)]
    assert found == [encoder.tokenizer.encode(text).ids for text in texts]


def test_the_two_ways_of_encoding_agree(encoder: Encoder) -> None:
    text = pa.array(TEXTS, pa.large_string())
    whole = Encoder(encoder.tokenizer, encoder.end, encoder.vocabulary, by_segment=False)
    for one, two in zip(encode(encoder, text), encode(whole, text), strict=True):
        assert one.tolist() == two.tolist()


def test_a_shard_holds_its_training_documents_and_nothing_else(bench: Workbench) -> None:
    stages = tokenised(bench, 2)
    encoder = committed_encoder(stages["tokenizer"], END_OF_TEXT)
    for key in ("web-0", "web-1"):
        (index,) = stages["tokenise"].outputs("index/", key)
        (binary,) = stages["tokenise"].outputs("tokens/", key)
        ids = np.fromfile(binary, "<u2")
        split = read_split(stages["split"], key)["split"].to_numpy()
        table = pq.read_table(index)
        numbers = [int(name.split("/")[1]) for name in table["id"].to_pylist()]
        first = 30 * int(key[-1])
        assert numbers == (np.flatnonzero(split == TRAINING) + first).tolist()
        wanted = [
            i for n in numbers for i in [*encoder.tokenizer.encode(TEXTS[n]).ids, encoder.end]
        ]
        assert ids.tolist() == wanted
        assert (ids == encoder.end).sum() == len(numbers)
        assert table["bytes"].to_pylist() == [len(TEXTS[n].encode()) for n in numbers]
        assert table["tokens"].to_numpy().sum() == len(ids)
        scores = [None if n % 9 == 0 else n / 60 for n in numbers]
        assert table["column.quality"].to_pylist() == scores


def test_facts_count_documents_tokens_and_bytes(bench: Workbench) -> None:
    stages = tokenised(bench, 1)
    receipt = stages["tokenise"].receipts()[0]
    table = pq.read_table(stages["tokenise"].outputs("index/")[0])
    assert receipt.metrics["sources"] == {
        "web": [len(table), table["tokens"].to_numpy().sum(), table["bytes"].to_numpy().sum()]
    }


def test_evaluation_documents_are_what_a_trial_reads(bench: Workbench) -> None:
    stages = tokenised(bench, 2)
    encoder = committed_encoder(stages["tokenizer"], END_OF_TEXT)
    (path,) = stages["evaluation"].outputs(HELD_OUT_TOKENS)
    table = read_held_out(path, encoder.vocabulary)
    held = pq.read_table(next(p for p in stages["held_out"].outputs() if p.name == HELD_OUT))
    assert table["id"].to_pylist() == held["id"].to_pylist()
    for row, text in zip(table.to_pylist(), held["text"].to_pylist(), strict=True):
        assert row["tokens"] == [encoder.end, *encoder.tokenizer.encode(text).ids]
        assert (row["context"], row["bytes"]) == (1, len(text.encode()))
    tokens = sum(map(len, table["tokens"].to_pylist())) - len(table)
    size = sum(table["bytes"].to_pylist())
    assert stages["evaluation"].receipts()[0].metrics["targets"] == {
        "web": [len(table), tokens, size]
    }


def test_equal_input_gives_equal_bytes(benches: Callable[[str], Workbench]) -> None:
    one, two = tokenised(benches("one"), 2), tokenised(benches("two"), 2)
    for name, stage in one.items():
        outputs = [receipt.outputs for receipt in stage.receipts()]
        assert outputs == [receipt.outputs for receipt in two[name].receipts()]


def test_columns_that_mixes_choose_by_are_numbers_and_text_that_steps_have_added() -> None:
    schema = batch_of("web", ["a"], {"quality": [0.5]}).schema
    soft = pa.struct([("0", pa.float32())])
    for name, kind in {"topic": pa.string(), "level": pa.int32(), "soft": soft}.items():
        schema = schema.append(pa.field(name, kind))
    assert score_columns(schema) == ["quality", "level"]
    assert category_columns(schema) == ["language", "topic"]
