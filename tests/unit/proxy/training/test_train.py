import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import ShardError
from proxy.training.sizes import ModelSpec, Recipe
from proxy.training.train import learning_rate, pick_device, read_tokens, step_bounds, train

SPEC = ModelSpec(vocabulary=64, width=32, depth=2, heads=2, ffn=96, context=32)
RECIPE = Recipe(learning_rate=0.01, batch=8)


def counting(tokens: int) -> np.ndarray:
    """A text that any model can learn: each token is the one before plus one."""
    return (np.arange(tokens) % SPEC.vocabulary).astype(np.uint16)


def test_a_model_learns_a_sequence_that_can_be_learnt():
    _, curve = train(SPEC, RECIPE, counting(20_000), seed=1)
    # Logits of variance 1 cost half a nat beside equal ones.
    assert curve.loss[0] == pytest.approx(math.log(SPEC.vocabulary) + 0.5, abs=0.3)
    assert curve.final_loss < 0.1


def test_equal_inputs_give_equal_weights_whatever_threads_and_generators_do():
    first, curve = train(SPEC, RECIPE, counting(4_000), seed=1)
    torch.rand(3)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        second, again = train(SPEC, RECIPE, counting(4_000), seed=1)
    finally:
        torch.set_num_threads(threads)
    assert curve == again
    for name, weight in first.export().items():
        assert torch.equal(weight, second.export()[name])


def test_settings_of_torch_are_left_as_they_were():
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    train(SPEC, RECIPE, counting(500), seed=1)
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()) == before


def test_another_seed_starts_elsewhere():
    _, first = train(SPEC, RECIPE, counting(500), seed=1)
    _, other = train(SPEC, RECIPE, counting(500), seed=2)
    assert first.loss[0] != other.loss[0]


def test_every_sequence_is_a_target_once_in_an_order_of_the_seed():
    tokens = counting(10 * SPEC.context + 1 + SPEC.context // 2)
    unused = tokens.copy()
    unused[10 * SPEC.context + 1 :] = 7
    one_by_one = replace(RECIPE, batch=1)
    orders = []
    for seed in (1, 2):
        _, curve = train(SPEC, one_by_one, tokens, seed)
        assert train(SPEC, one_by_one, unused, seed)[1] == curve
        assert len(curve.loss) == 10
        assert curve.tokens == tuple(range(SPEC.context, 10 * SPEC.context + 1, SPEC.context))
        steps = []
        for sequence in range(10):
            changed = tokens.copy()
            # Its targets but the last, which is also the next sequence's first input.
            changed[sequence * SPEC.context + 1 : (sequence + 1) * SPEC.context] = 7
            _, other = train(SPEC, one_by_one, changed, seed)
            pairs = zip(curve.loss, other.loss, strict=True)
            steps.append(next(i for i, (x, y) in enumerate(pairs) if x != y))
        assert sorted(steps) == list(range(10))
        orders.append(steps)
    assert orders[0] != orders[1]
    assert list(range(10)) not in orders


def test_progress_goes_from_the_first_step_to_the_last():
    seen = []
    _, curve = train(
        SPEC,
        RECIPE,
        counting(2_000),
        seed=1,
        progress=lambda done, total: seen.append((done, total)),
    )
    steps = len(curve.loss)
    assert seen == [(step, steps) for step in range(1, steps + 1)]


def test_fault_59_a_loss_that_is_not_finite_stops_before_the_step():
    seen = []
    with pytest.raises(ShardError, match="the loss is nan at step") as caught:
        train(
            SPEC,
            replace(RECIPE, learning_rate=1e30),
            counting(4_000),
            seed=1,
            progress=lambda done, total: seen.append(done),
        )
    assert caught.value.code == "non-finite-loss"
    assert f"at step {len(seen) + 1} of" in caught.value.message
    assert "learning rate" in caught.value.hint


@given(sequences=st.integers(1, 3_000), batch=st.integers(1, 200))
def test_steps_cover_all_sequences_evenly(sequences, batch):
    bounds = step_bounds(sequences, batch)
    sizes = [last - first for first, last in bounds]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == sequences
    assert all(a[1] == b[0] for a, b in pairwise(bounds))
    assert 1 <= min(sizes) <= max(sizes) <= batch
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("steps", [1, 2, 10, 1_000])
def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero(steps):
    rates = [
        learning_rate(Recipe(learning_rate=1.0, batch=1), step, steps) for step in range(steps)
    ]
    peak = rates.index(max(rates))
    assert peak <= max(1, 0.05 * steps)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < min(rates) <= max(rates) <= 1
    if steps == 1_000:
        assert max(rates) > 0.99
        assert rates[-1] < 0.002


def test_a_token_file_is_little_endian_uint16(tmp_path: Path):
    counting(100).astype("<u2").tofile(tmp_path / "tokens.bin")
    tokens = read_tokens(tmp_path / "tokens.bin", SPEC)
    assert np.array_equal(tokens, counting(100))


@pytest.mark.parametrize("size", [0, 2 * SPEC.context, 2 * SPEC.context + 3])
def test_a_file_without_one_whole_sequence_or_with_half_a_token_is_refused(tmp_path: Path, size):
    (tmp_path / "tokens.bin").write_bytes(bytes(size))
    with pytest.raises(ShardError, match=rf"has {size} bytes") as caught:
        read_tokens(tmp_path / "tokens.bin", SPEC)
    assert caught.value.code == "token-file"


def test_a_token_outside_the_vocabulary_is_refused(tmp_path: Path):
    tokens = counting(100)
    tokens[50] = SPEC.vocabulary
    tokens.astype("<u2").tofile(tmp_path / "tokens.bin")
    with pytest.raises(ShardError, match="holds token 64, the vocabulary ends at 63") as caught:
        read_tokens(tmp_path / "tokens.bin", SPEC)
    assert caught.value.code == "token-range"


def test_auto_takes_a_gpu_where_there_is_one():
    assert pick_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert pick_device("cpu").type == "cpu"
