"""Tokens are counted as the tokenizer makes them, with nothing added and nothing special."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import (
    AddedToken,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from filters.token_length import TokenLength, load_counter
from pipeline.documents import Docs
from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat
from pipeline.step import ManifestView
from winnow.testing import warm_up

END = "<|endoftext|>"
CORPUS = ["the cat sat on the mat.\n", "Don't stop — naïve façade", "12345 x = y + 1\t\n"] * 20
PIECES = ["the", " ", "\n", "cat", END, "é", "'s", "12", "\u3000", "\x00", "."]

texts = st.one_of(
    st.text(max_size=40),
    st.lists(st.sampled_from(PIECES)).map("".join),
)


def bytelevel(special: bool = True) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    if special:
        tokenizer.add_special_tokens([AddedToken(END, special=True)])
    return tokenizer


def lowered() -> Tokenizer:
    """One whose tokens are not those of segments, and that adds and cuts on its own."""
    tokenizer = bytelevel()
    tokenizer.normalizer = normalizers.Lowercase()
    end = tokenizer.token_to_id(END)
    tokenizer.post_processor = processors.TemplateProcessing(f"{END} $A", None, [(END, end)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=16)
    return tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tokenizers")
    bytelevel().save(str(made / "plain.json"))
    lowered().save(str(made / "lowered.json"))
    return made


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def counts(path: Path, rows: list[str]) -> list[int]:
    step = TokenLength(tokenizer=path, max_tokens=1)
    return list(np.asarray(step.measure(docs_of(rows))["tokens"]).tolist())


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(texts, max_size=4))
def test_counts_are_those_of_whole_texts_with_special_names_as_text(
    folder: Path, rows: list[str]
) -> None:
    for name, change in (("plain", str), ("lowered", str.lower)):
        plain = bytelevel_without_special()
        wanted = [len(plain.encode(change(row), add_special_tokens=False).ids) for row in rows]
        assert counts(folder / f"{name}.json", rows) == wanted


def _once(make: Callable[[], Tokenizer]) -> Callable[[], Tokenizer]:
    made: list[Tokenizer] = []
    return lambda: made[0] if made else (made.append(make()), made[0])[1]


bytelevel_without_special = _once(lambda: bytelevel(special=False))


def test_only_segmented_tokenizers_are_asked_by_segment(folder: Path) -> None:
    assert load_counter(folder / "plain.json").by_segment
    assert not load_counter(folder / "lowered.json").by_segment


def test_limits_drop_with_their_reasons(folder: Path) -> None:
    step = TokenLength(tokenizer=Path("plain.json"), min_tokens=2, max_tokens=5)
    assert list(step.check(ManifestView(folder, 0, ("web",)))) == []
    warm_up([step])
    verdict = step.filter(docs_of(["", "the cat", "the cat " * 10]))
    assert verdict.keep.tolist() == [False, True, False]
    assert list(verdict.reason) == ["too_few_tokens", "", "too_many_tokens"]
    assert [rule.parameter for rule in step.rules()] == ["min_tokens", "max_tokens"]


def test_large_batches_are_handed_over_in_parts(folder: Path) -> None:
    rows = ["the cat sat on the mat. " * 4_000] * 30 + ["x"] * 3_000
    for name in ("plain", "lowered"):
        found = counts(folder / f"{name}.json", rows)
        assert len(found) == len(rows)
        assert len(set(found[:30])) == 1
        assert set(found[30:]) == {1}


@pytest.mark.parametrize("text", ["", "\x00", "e\u0301", "שלום", "\U0010ffff", "word " * 400_000])
def test_odd_texts_have_a_length(folder: Path, text: str) -> None:
    (count,) = counts(folder / "plain.json", [text])
    assert (count == 0) == (text == "")
    assert count <= len(text.encode())


def test_no_documents_give_no_verdicts(folder: Path) -> None:
    assert counts(folder / "plain.json", []) == []
    assert counts(folder / "lowered.json", []) == []


@pytest.mark.parametrize(("content", "code"), [(None, "no-file"), ("{}", "bad-tokenizer")])
def test_a_file_that_cannot_be_used_is_refused_at_its_line(
    tmp_path: Path, content: str | None, code: str
) -> None:
    if content is not None:
        (tmp_path / "t.json").write_text(content)
    path = tmp_path / "m.yaml"
    path.write_text(
        "sources: {a: {format: lines}}\n"
        "steps:\n"
        "  - token_length:\n"
        "      tokenizer: t.json\n"
        "      max_tokens: 9\n"
    )
    registry = Registry({"token_length": TokenLength}, {"lines": SourceFormat}, {})
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=registry)
    (problem,) = caught.value.problems
    assert (problem.line, problem.code) == (4, code)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_tokens": 5},
        {"tokenizer": "t.json"},
        {"tokenizer": "t.json", "min_tokens": -1},
        {"tokenizer": "t.json", "min_tokens": 6, "max_tokens": 5},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TokenLength(**wrong)
