"""Judges and model folders are told apart by digests."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifiers.judges.judge_config import EndpointSpec, VllmSpec
from classifiers.judges.judge_identity import (
    BLOCK,
    BLOCKS,
    Wording,
    folder_revision,
    judge_id,
    label_key,
    model_fingerprint,
    model_name,
    revision_of,
)
from classifiers.judges.rubric import Attribute, Rubric
from pipeline.errors import Refusal

CHOICES = {"a": "x", "b": "y"}
RUBRIC = Rubric(
    name="r",
    version=1,
    instruction="Judge.",
    attributes={"kind": Attribute(question="Which?", choices=CHOICES)},
)
WORDING = Wording(RUBRIC, 256)


def vllm(**changes: Any) -> VllmSpec:
    return VllmSpec(**{"kind": "vllm", "model": "m", "revision": "abc"} | changes)


def with_choices(choices: dict[str, str]) -> Rubric:
    return RUBRIC.model_copy(
        update={"attributes": {"kind": Attribute(question="Which?", choices=choices)}}
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda w: replace(w, limit=257),
        lambda w: replace(w, keep="ends"),
        lambda w: replace(w, rationale_tokens=100),
        lambda w: replace(w, reverse=True),
        lambda w: replace(w, rubric=RUBRIC.model_copy(update={"version": 2})),
        lambda w: replace(w, rubric=RUBRIC.model_copy(update={"instruction": "Judge!"})),
        lambda w: replace(w, rubric=with_choices({"a": "x", "b": "z"})),
        lambda w: replace(w, rubric=with_choices({"b": "y", "a": "x"})),
    ],
    ids=["limit", "keep", "rationale", "reverse", "version", "instruction", "meaning", "order"],
)
def test_whatever_decides_an_answer_is_part_of_the_wording(
    change: Callable[[Wording], Wording],
) -> None:
    assert change(WORDING).id != WORDING.id


def test_equal_wordings_are_the_same() -> None:
    assert Wording(with_choices(dict(CHOICES)), 256).id == WORDING.id


def test_another_template_of_ours_asks_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Wording(RUBRIC, 256).id
    monkeypatch.setattr("classifiers.judges.judge_identity.TEMPLATE_VERSION", 10**6)
    assert Wording(RUBRIC, 256).id != before


def test_judge_is_model_revision_tokenizer_and_template() -> None:
    base = judge_id(vllm(), "rev", "tok")
    assert base == judge_id(vllm(), "rev", "tok")
    others = [
        judge_id(vllm(model="n"), "rev", "tok"),
        judge_id(vllm(), "rev2", "tok"),
        judge_id(vllm(), "rev", "tok2"),
        judge_id(vllm(template_args={"enable_thinking": True}), "rev", "tok"),
        judge_id(vllm(args={"dtype": "float32"}), "rev", "tok"),
        judge_id(vllm(args={"kv-cache-dtype": "fp8"}), "rev", "tok"),
    ]
    assert len({base, *others}) == 7


def test_options_that_change_no_answer_do_not_count_and_spelling_neither() -> None:
    base = judge_id(vllm(), "rev", "tok")
    assert judge_id(vllm(args={"max-num-seqs": 4}), "rev", "tok") == base
    one, other = vllm(args={"kv-cache-dtype": "fp8"}), vllm(args={"kv_cache_dtype": "fp8"})
    assert judge_id(one, "rev", "tok") == judge_id(other, "rev", "tok")


def test_where_a_server_is_does_not_matter() -> None:
    one, other = (
        EndpointSpec(kind="endpoint", model="m", url=f"http://{host}") for host in ("a", "b:80")
    )
    assert judge_id(one, "", "tok") == judge_id(other, "", "tok") == judge_id(vllm(), "", "tok")


def test_a_folder_is_called_by_its_last_part() -> None:
    assert model_name(vllm(model="/data/models/judge")) == "judge"
    assert model_name(vllm(model="./judge")) == "judge"
    assert model_name(vllm(model="org/judge")) == "org/judge"


def test_revision_of_a_folder_is_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "config.json").write_text("{}")
    spec = vllm(model="judge", revision="")
    first = revision_of(spec, tmp_path)
    assert first == folder_revision(tmp_path / "judge")
    assert revision_of(vllm(model="judge", revision=first[:8]), tmp_path) == first
    (tmp_path / "judge" / ".cache").write_text("hidden files do not count")
    assert revision_of(spec, tmp_path) == first
    (tmp_path / "judge" / "config.json").write_text("{ }")
    assert revision_of(spec, tmp_path) != first
    with pytest.raises(Refusal, match="the manifest pins") as caught:
        revision_of(vllm(model="judge", revision=first[:8]), tmp_path)
    assert caught.value.code == "model-changed"


def test_revision_of_a_name_is_the_manifests(tmp_path: Path) -> None:
    assert revision_of(vllm(model="org/judge", revision="abc"), tmp_path) == "abc"


def test_keys_differ_in_every_part() -> None:
    keys = {
        label_key("j", "r", b"d" * 32),
        label_key("k", "r", b"d" * 32),
        label_key("j", "s", b"d" * 32),
        label_key("j", "r", b"e" * 32),
        label_key("j", "r", b"d" * 32, 1),
    }
    assert len(keys) == 5
    assert {len(key) for key in keys} == {32}


SPEC = VllmSpec(kind="vllm", model="judge")
LARGE = BLOCK * BLOCKS * 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "judge").mkdir()
    (tmp_path / "judge" / "config.json").write_text("{}")
    (tmp_path / "judge" / "model.safetensors").write_bytes(bytes(range(256)) * (LARGE // 256))
    return tmp_path


def test_a_copy_elsewhere_is_the_same(folder: Path) -> None:
    shutil.copytree(folder / "judge", folder / "copy" / "judge")
    assert model_fingerprint(SPEC, folder) == model_fingerprint(SPEC, folder / "copy")
    (folder / "judge" / ".cache").touch()
    assert model_fingerprint(SPEC, folder) == model_fingerprint(SPEC, folder / "copy"), (
        "hidden files are no model"
    )


def test_whatever_a_training_changes_is_seen(folder: Path) -> None:
    weights = folder / "judge" / "model.safetensors"
    seen = [model_fingerprint(SPEC, folder)]
    content = bytearray(weights.read_bytes())
    for place in (0, LARGE - 1):
        content[place] ^= 1
        weights.write_bytes(content)
        seen.append(model_fingerprint(SPEC, folder))
    weights.write_bytes(content + b"x")
    seen.append(model_fingerprint(SPEC, folder))
    (folder / "judge" / "config.json").write_text("{ }")
    seen.append(model_fingerprint(SPEC, folder))
    (folder / "judge" / "config.json").rename(folder / "judge" / "other.json")
    seen.append(model_fingerprint(SPEC, folder))
    assert len({found["model"] for found in seen}) == len(seen)


def test_an_empty_file_and_one_of_the_limit_are_read(folder: Path) -> None:
    for size in (0, BLOCK * BLOCKS, BLOCK * BLOCKS + 1):
        (folder / "judge" / "model.safetensors").write_bytes(b"x" * size)
        assert list(model_fingerprint(SPEC, folder)) == ["model"]


def test_a_tokenizer_in_a_folder_of_its_own_counts(folder: Path) -> None:
    (folder / "words").mkdir()
    (folder / "words" / "tokenizer.json").write_text("1")
    spec = EndpointSpec(kind="endpoint", url="http://x", model="served", tokenizer="words")
    first = model_fingerprint(spec, folder)
    assert list(first) == ["tokenizer"]
    (folder / "words" / "tokenizer.json").write_text("2")
    assert model_fingerprint(spec, folder) != first


def test_a_model_of_the_hub_has_nothing_to_look_at(tmp_path: Path) -> None:
    assert model_fingerprint(SPEC, tmp_path) == {}
