"""A glance at a model's folder sees that it is another model, and reads little of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from classifiers.judges.model_fingerprint import BLOCK, BLOCKS, model_fingerprint
from classifiers.labelling.label_config import EndpointSpec, VllmSpec

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
