"""Fault 50: a judge whose weights are a pickle is refused, and nothing of the pickle is run."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress
from pathlib import Path

import pytest
from labelling_jobs import judge_folder
from tiny_model import make_tiny_model

from classifiers.judges.transformers_server import TransformersServer
from pipeline.errors import ShardError


class Payload:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_pickled_weights_are_not_loaded(tmp_path: Path) -> None:
    folder = make_tiny_model(tmp_path / "model")
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Payload(tmp_path / "it ran")))
    with pytest.raises(ShardError) as caught:
        TransformersServer(folder)
    assert caught.value.code == "model-unreadable"
    assert not (tmp_path / "it ran").exists()


def test_weights_in_a_pickle_that_would_be_readable_are_not_loaded_either(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    folder = make_tiny_model(tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    with pytest.raises(ShardError) as caught:
        TransformersServer(folder)
    assert caught.value.code == "model-unreadable"


def test_code_in_a_models_folder_is_not_run(tmp_path: Path) -> None:
    """``auto_map`` names classes in files beside the tokenizer."""
    from classifiers.judges.judge_tokenizer import JudgeTokenizer
    from pipeline.errors import Refusal

    folder = judge_folder(tmp_path)
    config = folder / "tokenizer_config.json"
    text = config.read_text().replace(
        "{", '{"auto_map": {"AutoTokenizer": [null, "evil.Evil"]}, ', 1
    )
    config.write_text(text.replace('"tokenizer_class"', '"was_class"'))
    (folder / "evil.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'it ran')!r})\n")
    with suppress(Refusal):
        JudgeTokenizer(folder)
    assert not (tmp_path / "it ran").exists()
