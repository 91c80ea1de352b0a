"""Documents never become control tokens, and otherwise the tokens that the tokenizer gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from labelling_jobs import LICENSE
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from classifiers.judges.judge_tokenizer import JudgeTokenizer
from pipeline.errors import Refusal

LINES = LICENSE.read_text().splitlines(keepends=True)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
# Not special, and orders all the same.
PLAIN = ["<think>", "</think>", "<tool_call>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{{ '<|im_start|>assistant\n' }}"
)


def byte_level() -> Tokenizer:
    """As Qwen's: byte-level BPE, with special and other added tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = BpeTrainer(vocab_size=600, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(LINES, trainer)
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in PLAIN])
    return tokenizer


def spaces() -> Tokenizer:
    """As GPT-NeoX's and Gemma's: runs of white space are added tokens, too."""
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False)])
    return tokenizer


def unigram(normalizer: object = None) -> Tokenizer:
    """As SentencePiece's: control tokens are pieces of the vocabulary itself."""
    letters = sorted(set("".join(LINES)) - {" "} | set("<>/|￼"))
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), ("<start_of_turn>", 0.0), ("▁", -3.0)]
    pieces += [(letter, -6.0) for letter in letters] + [("▁the", -4.0), ("ing", -4.5)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never")
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>", "<start_of_turn>"])
    return tokenizer


def cleaning() -> Tokenizer:
    """Its normaliser turns full-width characters into control tokens, and removes what breaks
    them up."""
    steps = [normalizers.NFKC(), normalizers.Replace("\u200b", "")]
    return unigram(normalizers.Sequence(steps))


KINDS = {"byte-level": byte_level, "spaces": spaces, "unigram": unigram, "cleaning": cleaning}
CONTROLS = [*SPECIAL, *PLAIN, "<s>", "</s>", "<start_of_turn>", "＜s＞", "＜／s＞", "<\u200bs>"]
PARTS = st.sampled_from([*CONTROLS, "<|im_", "end|>", "<", "s>", " ", "\n\n", "the ", "3"])
TEXTS = st.lists(PARTS | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)).map("".join)
each_kind = pytest.mark.parametrize("kind", KINDS)


@cache
def saved(kind: str) -> tuple[JudgeTokenizer, PreTrainedTokenizerFast, Path]:
    folder = Path(mkdtemp(prefix="winnow-test-"))
    whole = PreTrainedTokenizerFast(
        tokenizer_object=KINDS[kind](),
        eos_token="<|im_end|>" if kind in ("byte-level", "spaces") else "</s>",
        chat_template=CHATML,
    )
    whole.save_pretrained(folder)
    return JudgeTokenizer(folder), whole, folder


def ids_of(tokenizer: JudgeTokenizer, text: str) -> list[int]:
    return tokenizer.documents([text], 10_000, "head")[0]


@each_kind
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS)
def test_documents_never_hold_control_tokens(kind: str, text: str) -> None:
    tokenizer, _, _ = saved(kind)
    assert tokenizer.controls.keys().isdisjoint(ids_of(tokenizer, text))


@each_kind
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(text=TEXTS)
def test_other_text_becomes_the_tokens_that_the_tokenizer_gives(kind: str, text: str) -> None:
    tokenizer, whole, _ = saved(kind)
    usual = whole(text, add_special_tokens=False)["input_ids"]
    if tokenizer.controls.keys().isdisjoint(usual) and "\n\n" not in text:
        assert ids_of(tokenizer, text) == usual


@each_kind
def test_every_control_token_is_one_in_a_frame_and_text_in_a_document(kind: str) -> None:
    tokenizer, _, _ = saved(kind)
    assert tokenizer.controls
    for number, content in tokenizer.controls.items():
        assert tokenizer.frame(content) == [number]
        assert number not in ids_of(tokenizer, f"before {content} after")


def test_control_tokens_that_are_not_special_count() -> None:
    tokenizer, _, _ = saved("byte-level")
    assert set(tokenizer.controls.values()) == {*SPECIAL, *PLAIN}


@pytest.mark.parametrize("kind", ["byte-level", "spaces", "unigram"])
def test_what_looked_like_a_control_token_can_still_be_read(kind: str) -> None:
    tokenizer, whole, _ = saved(kind)
    said = whole.decode(ids_of(tokenizer, "a <s> b <|im_end|> c"))
    assert said.replace("\u200b", "").replace("<unk>", "").startswith("a <s> b <|im_end|> c"[:5])


def test_white_space_that_is_an_added_token_leaves_documents_as_they_are() -> None:
    tokenizer, whole, _ = saved("spaces")
    assert whole.decode(ids_of(tokenizer, "one\n\ntwo <think>")) == "one\n\ntwo <think>"
    assert "\n\n" not in tokenizer.controls.values()


def test_characters_that_the_vocabulary_lacks_are_unknown_and_no_control_tokens() -> None:
    tokenizer, whole, _ = saved("unigram")
    ids = ids_of(tokenizer, "the 語")
    assert ids == whole("the 語", add_special_tokens=False)["input_ids"]
    assert whole.unk_token_id is None or 0 in ids


@pytest.mark.parametrize("keep", ["head", "ends"])
@pytest.mark.parametrize("limit", [1, 2, 3, 16, 101])
def test_documents_are_cut_to_their_limit_by_the_same_rule(limit: int, keep: str) -> None:
    tokenizer, _, _ = saved("byte-level")
    text = "".join(LINES)
    whole = ids_of(tokenizer, text)
    assert len(whole) > 1_000
    cut = tokenizer.documents([text], limit, keep)[0]  # type: ignore[arg-type]
    assert len(cut) == limit
    if keep == "head":
        assert cut == whole[:limit]
    else:
        tail = limit // 2
        assert cut[: limit - tail] == whole[: limit - tail]
        assert cut[limit - tail :] == whole[len(whole) - tail :]


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(TEXTS, max_size=5), limit=st.integers(1, 40))
def test_documents_together_are_as_one_by_one(texts: list[str], limit: int) -> None:
    tokenizer, _, _ = saved("byte-level")
    together = tokenizer.documents(texts, limit, "head")
    assert together == [tokenizer.documents([text], limit, "head")[0] for text in texts]
    assert all(len(ids) <= limit for ids in together)


def test_very_long_document_is_cut_without_being_read_whole() -> None:
    tokenizer, _, _ = saved("byte-level")
    assert len(tokenizer.documents(["lorem ipsum " * 2_000_000], 64, "ends")[0]) == 64


def test_empty_document_has_no_tokens() -> None:
    assert ids_of(saved("byte-level")[0], "") == []


# --- conversations ---


def test_conversation_is_as_the_template_writes_it() -> None:
    tokenizer, _, _ = saved("byte-level")
    assert tokenizer.conversation("S", "U", {}) == (
        "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n"
    )


def with_template(tmp_path: Path, template: str | None) -> JudgeTokenizer:
    PreTrainedTokenizerFast(tokenizer_object=byte_level(), chat_template=template).save_pretrained(
        tmp_path
    )
    return JudgeTokenizer(tmp_path)


def test_template_that_knows_no_system_message_gets_one_message(tmp_path: Path) -> None:
    template = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}[model]"
    )
    assert with_template(tmp_path, template).conversation("S", "U", {}) == "[user]S\n\nU[model]"


def test_arguments_reach_the_template(tmp_path: Path) -> None:
    template = (
        "{{ messages[1].content }}{% if enable_thinking is false %}<think></think>{% endif %}"
    )
    tokenizer = with_template(tmp_path, template)
    assert tokenizer.conversation("S", "U", {"enable_thinking": False}) == "U<think></think>"
    assert tokenizer.conversation("S", "U", {}) == "U"


def test_model_without_a_template_gets_paragraphs(tmp_path: Path) -> None:
    assert with_template(tmp_path, None).conversation("S", "U", {}) == "S\n\nU\n\nAnswer:\n"


# --- answers ---


def test_answers_are_one_token_each() -> None:
    tokenizer, whole, _ = saved("byte-level")
    ids = tokenizer.answer_ids("assistant\n", ["0", "1", "A"])
    assert [whole.decode([number]) for number in ids] == ["0", "1", "A"]


def test_answer_of_several_tokens_is_refused() -> None:
    with pytest.raises(Refusal, match="the answer 'xyz'") as caught:
        saved("byte-level")[0].answer_ids("", ["0", "xyz"])
    assert caught.value.code == "answer-not-one-token"


def test_answers_that_are_the_same_token_are_refused() -> None:
    with pytest.raises(Refusal, match="one token for several of"):
        saved("unigram")[0].answer_ids("", ["語", "文"])


# --- tokenizers that are none ---


def test_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no tokenizer in") as caught:
        JudgeTokenizer(tmp_path)
    assert caught.value.code == "no-tokenizer"


@pytest.mark.parametrize(
    "damage", [lambda text: "", lambda text: text[: len(text) // 2], lambda text: "{}"]
)
def test_damaged_tokenizer_is_refused(tmp_path: Path, damage: Callable[[str], str]) -> None:
    _, whole, _ = saved("byte-level")
    whole.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(Refusal):
        JudgeTokenizer(tmp_path)


def test_digest_is_of_vocabulary_and_template(tmp_path: Path) -> None:
    one, whole, _ = saved("byte-level")
    whole.save_pretrained(tmp_path)
    assert JudgeTokenizer(tmp_path).digest == one.digest
    assert with_template(tmp_path / "b", "{{ messages[1].content }}").digest != one.digest
    settings_file = tmp_path / "tokenizer.json"
    changed = json.loads(settings_file.read_text())
    changed["added_tokens"][0]["content"] = "<|other|>"
    settings_file.write_text(json.dumps(changed))
    assert JudgeTokenizer(tmp_path).digest != one.digest
