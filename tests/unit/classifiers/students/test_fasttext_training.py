"""Training is repeatable, and says how it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from classifiers.students.fasttext_training import run, train
from classifiers.students.preprocessing import preprocess
from classifiers.students.student_settings import FastTextSettings
from kernels.fasttext.fasttext_file import read_model
from pipeline.errors import ShardError

QUICK = FastTextSettings(epoch=5)
Labelled = list[tuple[str, str]]


@pytest.fixture(scope="module")
def documents(read_domain: Callable[..., list[dict[str, Any]]]) -> Labelled:
    """Views of encyclopedia articles (positive) and C files (negative)."""
    sides = {"positive": "domains/wiki", "negative": "domains/code_c"}
    views = {
        side: preprocess(
            pa.array([row["text"] for row in read_domain(name, 150)], pa.large_string())
        )
        for side, name in sides.items()
    }
    return [(side, views[side][row].as_py()) for row in range(150) for side in sides]


@pytest.fixture(scope="module")
def model(documents: Labelled, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.bin"
    train(documents, QUICK, 1, path)
    return path


def test_training_again_gives_the_same_bytes_whatever_memory_held_before(
    documents: Labelled, model: Path, tmp_path: Path
) -> None:
    for value in (1e30, np.nan):
        # Freed blocks of many sizes, none of them zero, for the allocator to hand out again.
        del [np.full(n << 17, value, np.float32) for n in (1, 2, 4, 8, 16, 32, 64, 80)][:]
        # And one of more than 32 MiB, of many small ones side by side.
        small = [np.full(1 << 12, value, np.float32) for _ in range(4_000)]
        last, small = small.pop(), []
        assert last[0] == value or np.isnan(value)
        train(documents, QUICK, 1, tmp_path / "again.bin")
        assert (tmp_path / "again.bin").read_bytes() == model.read_bytes()
    train(documents, QUICK, 2, tmp_path / "other.bin")
    assert (tmp_path / "other.bin").read_bytes() != model.read_bytes()


def test_another_process_trains_the_same(
    documents: Labelled, model: Path, tmp_path: Path, root: Path
) -> None:
    (tmp_path / "documents.txt").write_text(
        "".join(f"{label}\t{text}\n" for label, text in documents), encoding="utf-8", newline="\n"
    )
    script = (
        "import sys; from pathlib import Path\n"
        "from classifiers.students.fasttext_training import FastTextSettings, train\n"
        "folder = Path(sys.argv[1])\n"
        "lines = (folder / 'documents.txt').read_bytes().decode().split('\\n')[:-1]\n"
        "pairs = [tuple(line.split('\\t', 1)) for line in lines]\n"
        "train(pairs, FastTextSettings(epoch=5), 1, folder / 'model.bin')\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert (tmp_path / "model.bin").read_bytes() == model.read_bytes()


def test_passes_replace_epochs(documents: Labelled, tmp_path: Path) -> None:
    train(documents[:60], FastTextSettings(epoch=2), 1, tmp_path / "two")
    train(documents[:60], FastTextSettings(epoch=9), 1, tmp_path / "also two", passes=2)
    one, other = read_model(tmp_path / "two"), read_model(tmp_path / "also two")
    assert np.array_equal(one.inputs.vectors, other.inputs.vectors)


def test_training_that_ends_without_a_model_says_how(documents: Labelled, tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="fastText ended with") as caught:
        train(documents, QUICK, 1, tmp_path / "no such folder" / "model.bin")
    assert caught.value.code == "training-failed"


def test_divergence_is_an_error_with_advice(tmp_path: Path) -> None:
    same_of_both = [("positive", "x"), ("negative", "x")] * 1_000
    with pytest.raises(ShardError) as caught:
        train(same_of_both, FastTextSettings(lr=10), 1, tmp_path / "model.bin")
    assert (caught.value.code, caught.value.hint) == ("training-diverged", "lower lr")
    assert "lr 10.0" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_models_of_words_repeat_too(documents: Labelled, tmp_path: Path) -> None:
    options = {"model": "skipgram", "dim": 16, "bucket": 600_000, "epoch": 1, "lr": 0.05}
    for name in ("one", "two"):
        run(options, (text for _, text in documents[:60]), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("settings", [{"dim": 16, "bucket": 200_000}, {"word_ngrams": 1}])
def test_settings_too_small_to_repeat_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValidationError, match=r"repeatably|greater than or equal to 2"):
        FastTextSettings(**settings)
    assert FastTextSettings(dim=64, bucket=200_000).dim == 64
