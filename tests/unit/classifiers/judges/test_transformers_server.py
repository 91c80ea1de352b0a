"""The reference: probabilities right for every prompt, whatever it is batched with."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from tiny_model import make_tiny_model
from transformers import AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma2ForCausalLM

from classifiers.judges import transformers_server
from classifiers.judges.transformers_server import (
    TransformersServer,
    batches,
    padded,
    shared_prefix,
)
from pipeline.errors import ShardError

GRADES = "012345"
SENTENCES = (
    "A cat sat on it. ",
    "Photosynthesis transforms radiant energy into carbohydrates. ",
    "1 2 3 4 5 6 7 8 9 ",
    "buy now! $$$ ",
    "Ünïcödé 漢字 🙂 ",
)


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> TransformersServer:
    return TransformersServer(tiny_model, device="cpu")


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return AutoTokenizer.from_pretrained(tiny_model)


@pytest.fixture(scope="module")
def label_ids(tokenizer: Any) -> list[int]:
    return tokenizer.convert_tokens_to_ids(list(GRADES))


@pytest.fixture(scope="module")
def prompts(tokenizer: Any) -> list[list[int]]:
    """20 prompts of 40 to 400 tokens about different documents, with a shared beginning."""
    made = []
    for number, sentence in itertools.product(range(4), SENTENCES):
        content = f"Rate this from 0 to 5.\n\n{sentence * (2 + 5 * number)}\n\nOne digit:"
        made.append(chat(tokenizer, content))
    return made


def chat(tokenizer: Any, content: str) -> list[int]:
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=False,
    )
    return tokenizer.encode(text, add_special_tokens=False)


def plainly(folder: Path, prompts: Sequence[Sequence[int]], ids: Sequence[int]) -> np.ndarray:
    """The same, one prompt at a time, by the model's own forward pass and in double precision."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    rows = []
    for prompt in prompts:
        with torch.inference_mode():
            logits = model(torch.tensor([list(prompt)])).logits[0, -1]
        rows.append(torch.log_softmax(logits, -1)[list(ids)].numpy())
    return np.array(rows)


@pytest.mark.parametrize("batch_tokens", [1, 700, 100_000])
@pytest.mark.parametrize("least_prefix", [1, 10**9])
def test_batches_and_prefixes_change_nothing(
    tiny_model: Path,
    prompts: list[list[int]],
    label_ids: list[int],
    monkeypatch: pytest.MonkeyPatch,
    batch_tokens: int,
    least_prefix: int,
) -> None:
    monkeypatch.setattr(transformers_server, "LEAST_PREFIX", least_prefix)
    server = TransformersServer(tiny_model, device="cpu", batch_tokens=batch_tokens)
    found = server.logprobs(prompts, label_ids)
    assert found.dtype == np.float64
    assert found.shape == (len(prompts), len(label_ids))
    np.testing.assert_allclose(found, plainly(tiny_model, prompts, label_ids), atol=1e-4)


def test_rows_keep_the_order_of_the_prompts(
    server: TransformersServer, prompts: list[list[int]], label_ids: list[int]
) -> None:
    forward = server.logprobs(prompts, label_ids)
    backward = server.logprobs(prompts[::-1], label_ids)
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-4)


def test_columns_are_the_labels_as_asked(
    server: TransformersServer, prompts: list[list[int]], label_ids: list[int]
) -> None:
    found = server.logprobs(prompts[:3], label_ids)
    turned = server.logprobs(prompts[:3], label_ids[::-1])
    np.testing.assert_array_equal(found, turned[:, ::-1])


def test_probabilities_are_of_the_whole_vocabulary(
    server: TransformersServer, prompts: list[list[int]], tokenizer: Any
) -> None:
    everything = server.logprobs(prompts[:2], range(len(tokenizer)))
    np.testing.assert_allclose(np.exp(everything).sum(axis=1), 1, atol=1e-5)


def test_no_prompts_and_no_labels(server: TransformersServer) -> None:
    assert server.logprobs([], [1, 2]).shape == (0, 2)
    assert server.logprobs([[5, 6]], []).shape == (1, 0)
    assert server.generate([], 5) == []


@pytest.mark.parametrize(
    ("lengths", "message"),
    [((5, 0), "prompt 1 is empty"), ((2048,), "prompt 0 has 2048 tokens, 1 are to follow")],
)
def test_prompts_that_cannot_be_asked(
    server: TransformersServer, lengths: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        server.logprobs([[5] * length for length in lengths], [1])
    with pytest.raises(ValueError, match=r"prompt \d"):
        server.generate([[5] * length for length in lengths], 1)


def test_the_longest_prompt_there_may_be(server: TransformersServer, label_ids: list[int]) -> None:
    assert np.isfinite(server.logprobs([[5] * 2047], label_ids)).all()


def test_logits_of_other_positions_are_never_computed(
    server: TransformersServer, prompts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []
    head = server._network.get_output_embeddings()
    handle = head.register_forward_hook(lambda _, __, logits: shapes.append(tuple(logits.shape)))
    server.logprobs(prompts, [1])
    handle.remove()
    assert shapes
    assert {shape[1] for shape in shapes} == {1}


def test_logits_are_finished_by_the_model(tmp_path: Path) -> None:
    """Gemma 2 bounds its logits, and half of its layers look 16 tokens back in this test."""
    config = Gemma2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=16,
        final_logit_softcapping=0.3,
        query_pre_attn_scalar=16,
    )
    torch.manual_seed(0)
    Gemma2ForCausalLM(config).save_pretrained(tmp_path)
    chance = np.random.default_rng(0)
    start = chance.integers(1, 64, 80).tolist()
    prompts = [start + chance.integers(1, 64, n).tolist() for n in (1, 7, 30, 40)]
    server = TransformersServer(tmp_path, device="cpu")
    expected = plainly(tmp_path, prompts, range(64))
    assert np.ptp(expected) <= 0.6 + 1e-6, "the bound is what this tests"
    np.testing.assert_allclose(server.logprobs(prompts, range(64)), expected, atol=1e-4)


# --- generation ---


def test_generation_is_the_likeliest_token_each_time(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path, lifts={})
    server = TransformersServer(folder, device="cpu")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompts = [tokenizer.encode(sentence * 3) for sentence in SENTENCES]
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    end = tokenizer.eos_token_id
    for prompt, generated in zip(prompts, server.generate(prompts, 12), strict=True):
        ids = list(prompt)
        while len(ids) < len(prompt) + 12:
            with torch.inference_mode():
                token = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if token == end:
                break
            ids.append(token)
        assert generated == ids[len(prompt) :]
        assert generated


def test_generation_stops_before_the_end_token(tmp_path: Path, tokenizer: Any) -> None:
    folder = make_tiny_model(tmp_path, lifts={"!": 9.0})
    settings = folder / "generation_config.json"
    assert f'"eos_token_id": {tokenizer.eos_token_id}' in settings.read_text()
    prompts = [tokenizer.encode("A cat. "), tokenizer.encode("Another one sat down.")]
    mark = tokenizer.convert_tokens_to_ids("!")
    assert TransformersServer(folder, device="cpu").generate(prompts, 4) == [[mark] * 4] * 2
    settings.write_text(f'{{"eos_token_id": [{tokenizer.eos_token_id}, {mark}]}}')
    assert TransformersServer(folder, device="cpu").generate(prompts, 4) == [[], []]


def test_a_models_own_settings_do_not_change_what_it_says(
    tmp_path: Path, prompts: list[list[int]]
) -> None:
    folder = make_tiny_model(tmp_path)
    plain = TransformersServer(folder, device="cpu").generate(prompts[:3], 6)
    (folder / "generation_config.json").write_text(
        '{"do_sample": true, "temperature": 9.0, "repetition_penalty": 5.0, "eos_token_id": 2}'
    )
    assert TransformersServer(folder, device="cpu").generate(prompts[:3], 6) == plain


# --- what it is made of ---


def test_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="cannot be read as a language model") as caught:
        TransformersServer(tmp_path, device="cpu")
    assert caught.value.code == "model-unreadable"


def test_precision_follows_the_device(tiny_model: Path) -> None:
    assert TransformersServer(tiny_model, device="cpu")._network.dtype == torch.float32
    half = TransformersServer(tiny_model, device="cpu", dtype="bfloat16")
    assert half._network.dtype == torch.bfloat16
    assert half.logprobs([[5, 6, 7]], [1]).dtype == np.float64


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_batches_hold_every_row_once_and_keep_the_bound(lengths: list[int], tokens: int) -> None:
    found = list(batches(lengths, tokens))
    assert sorted(itertools.chain.from_iterable(found)) == list(range(len(lengths)))
    for rows in found:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= tokens
    longest = [max(lengths[row] for row in rows) for rows in found]
    assert longest == sorted(longest, reverse=True)


@given(
    st.lists(st.integers(0, 3), max_size=6),
    st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=2, max_size=5),
)
def test_shared_prefix_is_the_longest_that_leaves_a_token(
    start: list[int], ends: list[list[int]]
) -> None:
    prompts = [start + end for end in ends]
    length = shared_prefix(prompts)
    assert len(start) <= length < min(map(len, prompts))
    assert len({tuple(prompt[:length]) for prompt in prompts}) == 1
    longer = {tuple(prompt[: length + 1]) for prompt in prompts}
    assert len(longer) > 1 or length + 1 == min(map(len, prompts))


def test_one_prompt_shares_nothing() -> None:
    assert shared_prefix([[1, 2, 3]]) == 0
    assert shared_prefix([]) == 0


def test_padding_on_either_side() -> None:
    assert padded([[1], [2, 3, 4]], left=False).tolist() == [[1, 0, 0], [2, 3, 4]]
    assert padded([[1], [2, 3, 4]], left=True).tolist() == [[0, 0, 1], [2, 3, 4]]


# --- the model that the tests ask ---


def test_tiny_model_is_the_same_each_time(tiny_model: Path, tmp_path: Path) -> None:
    again = make_tiny_model(tmp_path)
    first = load_file(tiny_model / "model.safetensors")
    second = load_file(again / "model.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)
    for name in ("tokenizer.json", "chat_template.jinja"):
        assert (again / name).read_bytes() == (tiny_model / name).read_bytes()


def test_tiny_model_grades_differ_between_documents(
    server: TransformersServer, prompts: list[list[int]], label_ids: list[int]
) -> None:
    probabilities = np.exp(server.logprobs(prompts, label_ids))
    mass = probabilities.sum(axis=1)
    scores = probabilities @ np.arange(6) / mass
    assert mass.min() > 0.5
    assert scores.max() - scores.min() > 1
    assert scores[1::5].min() > scores[0::5].max(), "long words are graded higher than short ones"


def test_tiny_model_has_labels_and_roles_of_one_token(tokenizer: Any) -> None:
    for label in GRADES + "6789ABCDEFGHIJKLMNOPQRSTUVWXYZ":
        assert len(chat(tokenizer, "x") + tokenizer.encode(label)) == len(chat(tokenizer, "x")) + 1
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert chat(tokenizer, "x").count(start) == 2
    assert tokenizer.encode("<|im_start|>", split_special_tokens=True).count(start) == 0
