import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.errors import ShardError
from proxy.training.evaluate import (
    EVALUATION_SCHEMA,
    HELD_OUT_SCHEMA,
    evaluate,
    read_held_out,
    windows,
)
from proxy.training.model import initialise
from proxy.training.sizes import ModelSpec

SPEC = ModelSpec(vocabulary=64, width=32, depth=2, heads=2, ffn=96, context=32)
LENGTHS = [2, 3, 31, 32, 33, 34, 48, 49, 50, 200, 5, 64]


def held_out(lengths=LENGTHS, bytes_=None) -> pa.Table:
    generator = np.random.default_rng(0)
    rows = [
        {
            "target": "even" if i % 2 == 0 else "odd",
            "id": f"document {i}",
            "cluster": f"document {i}",
            "context": 1,
            "tokens": [0, *generator.integers(1, SPEC.vocabulary, length).tolist()][:length],
            "bytes": 3 * length if bytes_ is None else bytes_[i],
        }
        for i, length in enumerate(lengths)
    ]
    return pa.Table.from_pylist(rows, HELD_OUT_SCHEMA)


@pytest.fixture(scope="module")
def model():
    network = initialise(SPEC, seed=2)
    with torch.no_grad():  # so that predictions, and the context they depend on, differ
        network.embed_tokens.weight.mul_(3)
    return network


def bits_alone(model, tokens, first, last, start) -> float:
    """Bits of the targets ``first``…``last`` (positions in ``tokens``), seen from ``start`` on."""
    with torch.inference_mode():
        logits = model(torch.tensor([tokens[start:last]]))[0]
    log_p = F.log_softmax(logits.double(), dim=1)
    return -sum(log_p[i - 1 - start, tokens[i]].item() for i in range(first, last + 1)) / math.log(
        2
    )


def test_a_short_document_costs_the_bits_of_its_tokens_after_the_first(model):
    table = held_out()
    result = evaluate(model, table)
    for row, length in enumerate(LENGTHS):
        if length <= SPEC.context + 1:
            tokens = table["tokens"][row].as_py()
            expected = bits_alone(model, tokens, 1, length - 1, 0)
            assert result["bits"][row].as_py() == pytest.approx(expected, rel=1e-5)


def test_a_long_document_is_scored_whole_with_half_a_window_of_context(model):
    table = held_out([70])
    tokens = table["tokens"][0].as_py()
    parts = [(1, 32, 0), (33, 48, 16), (49, 64, 32), (65, 69, 48)]
    expected = sum(bits_alone(model, tokens, *part) for part in parts)
    assert evaluate(model, table)["bits"][0].as_py() == pytest.approx(expected, rel=1e-5)


def test_rows_and_their_order_are_those_of_the_input(model):
    table = held_out()
    result = evaluate(model, table)
    assert result.schema.equals(EVALUATION_SCHEMA)
    for name in ("target", "id", "bytes"):
        assert result[name].to_pylist() == table[name].to_pylist()


@pytest.mark.parametrize("batch_tokens", [1, 33, 500, 100_000])
def test_batches_do_not_change_the_result(model, batch_tokens):
    table = held_out()
    usual = evaluate(model, table)["bits"].to_numpy()
    other = evaluate(model, table, batch_tokens=batch_tokens)["bits"].to_numpy()
    assert np.allclose(usual, other, rtol=1e-5, atol=0)


def test_a_document_scores_the_same_among_others_and_alone(model):
    table = held_out()
    together = evaluate(model, table)["bits"].to_pylist()
    for row in (0, 5, 9):
        alone = evaluate(model, table.slice(row, 1))["bits"][0].as_py()
        assert alone == pytest.approx(together[row], rel=1e-5)


def test_bytes_are_taken_as_given(model):
    result = evaluate(model, held_out([40, 40], bytes_=[1, 999]))
    assert result["bytes"].to_pylist() == [1, 999]


@given(
    st.lists(st.tuples(st.integers(1, 300), st.integers(1, 90)), min_size=1, max_size=8),
    st.integers(2, 40),
)
def test_windows_score_each_token_after_its_context_once(spans, context):
    contexts = np.array([before for _, before in spans])
    lengths = contexts + [scored for scored, _ in spans]
    scored: dict[int, list[int]] = {i: [] for i in range(len(spans))}
    for window in windows(lengths, contexts, context):
        assert 0 < window.stop - window.start <= context
        if window.start:
            assert window.carried >= context // 2
        scored[window.span] += range(window.start + window.carried + 1, window.stop + 1)
    ends = zip(contexts.tolist(), lengths.tolist(), strict=True)
    assert scored == {i: list(range(begin, end)) for i, (begin, end) in enumerate(ends)}


def test_spans_of_a_document_are_one_row_and_their_context_is_free(model):
    table = held_out([20, 20, 20])
    table = table.set_column(4, table.schema.field("context"), pa.array([1, 5, 1]))
    table = table.set_column(1, table.schema.field("id"), pa.array(["a", "a", "b"], "large_string"))
    same = ["x", "x", "y"], ["t", "t", "t"]
    table = table.set_column(2, table.schema.field("cluster"), pa.array(same[0], "large_string"))
    table = table.set_column(0, table.schema.field("target"), pa.array(same[1], "large_string"))
    result = evaluate(model, table)
    assert result["id"].to_pylist() == ["a", "b"]
    tokens = table["tokens"].to_pylist()
    first = bits_alone(model, tokens[0], 1, 19, 0) + bits_alone(model, tokens[1], 5, 19, 0)
    assert result["bits"][0].as_py() == pytest.approx(first, rel=1e-5)
    assert result["bytes"].to_pylist() == [120, 60]


def test_progress_ends_at_its_total(model):
    seen = []
    evaluate(model, held_out(), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_a_model_that_gives_nan_is_never_ranked():
    broken = initialise(SPEC, seed=0)
    with torch.no_grad():
        broken.norm.weight.fill_(math.nan)
    with pytest.raises(ShardError, match="'document 0' scores nan") as caught:
        evaluate(broken, held_out())
    assert caught.value.code == "non-finite-loss"


@pytest.mark.parametrize(("length", "bytes_"), [(1, 5), (0, 5), (9, 0)])
def test_a_document_without_text_is_refused_stages_by_name(tmp_path: Path, length, bytes_):
    pq.write_table(held_out([9, length], bytes_=[9, bytes_]), tmp_path / "held_out.parquet")
    with pytest.raises(ShardError, match="'document 1' has no text") as caught:
        read_held_out(tmp_path / "held_out.parquet", SPEC.vocabulary)
    assert caught.value.code == "empty-document"


def test_a_token_outside_the_vocabulary_is_refused(tmp_path: Path):
    pq.write_table(held_out(), tmp_path / "held_out.parquet")
    assert read_held_out(tmp_path / "held_out.parquet", SPEC.vocabulary).equals(held_out())
    with pytest.raises(ShardError, match="the vocabulary ends at 19"):
        read_held_out(tmp_path / "held_out.parquet", 20)
