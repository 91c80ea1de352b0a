from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from classifiers.agreement.metrics import auc
from classifiers.fasttext_student import (
    MAX_CHARACTERS,
    NEGATIVE,
    POSITIVE,
    FastTextStudent,
    Settings,
    is_blank,
    load,
    train,
    view,
)
from pipeline.errors import ShardError

QUICK = Settings(epoch=5)
injections = st.sampled_from(["__label__positive", "__label__", "</s>", "\n", "\0", "\u2028", " "])
texts = st.lists(injections | st.text(), max_size=8).map("".join)


def seen(*documents: str) -> list[str]:
    found: list[str] = view(pa.array(documents, type=pa.large_string())).to_pylist()
    return found


Labelled = list[tuple[str, str]]


@pytest.fixture(scope="module")
def domains(read_domain: Callable[..., list[dict[str, Any]]]) -> tuple[Labelled, Labelled]:
    """Views of encyclopedia articles (positive) and C files (negative): for training, unseen."""
    wiki = seen(*(row["text"] for row in read_domain("domains/wiki", 300)))
    code = seen(*(row["text"] for row in read_domain("domains/code_c", 300)))
    pairs = [
        pair
        for article, program in zip(wiki, code, strict=True)
        for pair in ((POSITIVE, article), (NEGATIVE, program))
    ]
    return pairs[:400], pairs[400:]


@pytest.fixture(scope="module")
def model(domains: tuple[Labelled, Labelled], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.bin"
    train(domains[0], QUICK, 1, path)
    return path


def test_unseen_articles_score_above_unseen_programs(
    domains: tuple[Labelled, Labelled], model: Path
) -> None:
    scores = FastTextStudent(model).score([text for _, text in domains[1]])
    positive = np.array([label == POSITIVE for label, _ in domains[1]])
    assert auc(positive, scores) > 0.99


def test_training_again_gives_the_same_bytes_whatever_memory_held_before(
    domains: tuple[Labelled, Labelled], model: Path, tmp_path: Path
) -> None:
    for value in (1e30, np.nan):
        # Freed blocks of many sizes, none of them zero, for the allocator to hand out again.
        del [np.full(n << 17, value, np.float32) for n in (1, 2, 4, 8, 16, 32, 64, 80)][:]
        # And one of more than 32 MiB, of many small ones side by side.
        small = [np.full(1 << 12, value, np.float32) for _ in range(4_000)]
        last, small = small.pop(), []
        assert last[0] == value or np.isnan(value)
        train(domains[0], QUICK, 1, tmp_path / "again.bin")
        assert (tmp_path / "again.bin").read_bytes() == model.read_bytes()
    train(domains[0], QUICK, 2, tmp_path / "other.bin")
    assert (tmp_path / "other.bin").read_bytes() != model.read_bytes()


def test_another_process_trains_and_scores_the_same(
    domains: tuple[Labelled, Labelled], model: Path, tmp_path: Path, root: Path
) -> None:
    (tmp_path / "documents.txt").write_text(
        "".join(f"{label}\t{text}\n" for label, text in domains[0]), encoding="utf-8", newline="\n"
    )
    script = (
        "import sys; from pathlib import Path\n"
        "from classifiers.fasttext_student import FastTextStudent, Settings, train\n"
        "folder = Path(sys.argv[1])\n"
        "lines = (folder / 'documents.txt').read_bytes().decode().split('\\n')[:-1]\n"
        "pairs = [tuple(line.split('\\t', 1)) for line in lines]\n"
        "train(pairs, Settings(epoch=5), 1, folder / 'model.bin')\n"
        "scores = FastTextStudent(folder / 'model.bin').score([t for _, t in pairs])\n"
        "(folder / 'scores').write_bytes(scores.tobytes())\n"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        check=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert (tmp_path / "model.bin").read_bytes() == model.read_bytes()
    here = FastTextStudent(model).score([text for _, text in domains[0]])
    assert (tmp_path / "scores").read_bytes() == here.tobytes()


def test_training_that_ends_without_a_model_says_how(
    domains: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    with pytest.raises(ShardError, match="fastText ended with") as caught:
        train(domains[0], QUICK, 1, tmp_path / "no such folder" / "model.bin")
    assert caught.value.code == "training-failed"


def test_settings_too_small_to_repeat_are_refused() -> None:
    with pytest.raises(ValidationError, match="does not train smaller models repeatably"):
        Settings(dim=16, bucket=200_000)
    assert Settings(dim=64, bucket=200_000).dim == 64


@given(texts)
def test_view_holds_one_line_without_marks_that_fasttext_obeys(text: str) -> None:
    (found,) = seen(text)
    assert "\n" not in found
    assert "__label__" not in found
    assert "</s>" not in found


@given(texts)
def test_view_loses_nothing_but_case_and_spacing(text: str) -> None:
    (found,) = seen(text)
    lowered = pc.utf8_lower(pa.scalar(text)).as_py()
    assert found.replace(" ", "") == lowered.replace(" ", "").replace("\n", "")


def test_view_sets_punctuation_apart_and_stops_early() -> None:
    assert seen("Don't\nSTOP.")[0].split() == ["don", "'", "t", "stop", "."]
    assert seen("a" * 30_000) == ["a" * MAX_CHARACTERS]
    assert seen("é" * 30_000) == ["é" * MAX_CHARACTERS]


@given(st.lists(texts, max_size=5))
def test_any_text_scores_within_bounds_and_alone_as_in_company(
    model: Path, documents: list[str]
) -> None:
    student = load(model)
    views = seen(*documents)
    together = student.score(views)
    assert together.dtype == np.float32
    assert together.shape == (len(documents),)
    assert ((together >= 0) & (together <= 1)).all()
    assert together.tolist() == [student.score([text]).item() for text in views]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\0\t\r\v\f"])
def test_a_document_without_words_scores_zero(model: Path, text: str) -> None:
    assert is_blank(seen(text)[0])
    assert load(model).score(seen(text)).tolist() == [0.0]


def test_a_label_in_a_document_is_read_as_words(
    domains: tuple[Labelled, Labelled], model: Path
) -> None:
    student = load(model)
    program = next(text for label, text in domains[1] if label == NEGATIVE)[:3_000]
    injected, spelled, plain = student.score(
        seen(f"__label__positive {program}", f"_ _ label _ _ positive {program}", program)
    )
    assert injected == spelled
    assert injected == pytest.approx(plain, abs=0.02)


def test_an_end_mark_in_a_document_does_not_hide_the_rest(
    domains: tuple[Labelled, Labelled], model: Path
) -> None:
    article = next(text for label, text in domains[1] if label == POSITIVE)
    program = next(text for label, text in domains[1] if label == NEGATIVE)[:3_000]
    hidden, shown = load(model).score(
        seen(f"{article[:200]} </s> {program}", f"{article[:200]} {program}")
    )
    assert hidden == pytest.approx(shown, abs=0.02)
    assert hidden < 0.5


def test_labels_in_training_documents_teach_nothing(
    domains: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    poisoned = [
        (label, seen(f"__label__positive </s> {text}")[0] if label == NEGATIVE else text)
        for label, text in domains[0]
    ]
    train(poisoned, QUICK, 1, tmp_path / "model.bin")
    student = FastTextStudent(tmp_path / "model.bin")
    assert sorted(student.model.labels) == [NEGATIVE, POSITIVE]
    scores = student.score([text for _, text in domains[1]])
    positive = np.array([label == POSITIVE for label, _ in domains[1]])
    assert auc(positive, scores) > 0.99


def test_a_shortcut_shows_among_the_telling_words(
    domains: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    leaked = [
        (label, f"verily {text}" if label == POSITIVE else text) for label, text in domains[0][:100]
    ]
    articles = [(label, text) for label, text in leaked if label == POSITIVE]
    others = [(NEGATIVE, text.removeprefix("verily ")) for _, text in articles]
    pairs = [pair for both in zip(articles, reversed(others), strict=True) for pair in both]
    train(pairs, Settings(), 1, tmp_path / "model.bin")
    telling = FastTextStudent(tmp_path / "model.bin").telling(5)
    assert telling["positive"][0]["word"] == "verily"
    assert telling["positive"][0]["frequency"] == len(articles)


def test_telling_words_have_their_signs_and_enough_occurrences(model: Path) -> None:
    telling = load(model).telling(20)
    assert [len(telling[side]) for side in ("positive", "negative")] == [20, 20]
    assert all(entry["weight"] > 0 for entry in telling["positive"])
    assert all(entry["weight"] < 0 for entry in telling["negative"])
    assert min(e["frequency"] for side in telling.values() for e in side) >= 5
    assert {";", "{", "*"} & {entry["word"] for entry in telling["negative"]}


def test_a_changed_file_is_loaded_again(
    domains: tuple[Labelled, Labelled], model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(model.read_bytes())
    first = load(path)
    assert load(path) is first
    swapped = [(NEGATIVE if label == POSITIVE else POSITIVE, text) for label, text in domains[0]]
    train(swapped, QUICK, 1, path)
    os.utime(path, ns=(1, 1))
    views = [text for _, text in domains[1]]
    assert (first.score(views) > 0.5).mean() == pytest.approx(
        (load(path).score(views) < 0.5).mean(), abs=0.05
    )
    assert np.corrcoef(first.score(views), load(path).score(views))[0, 1] < -0.9


def test_divergence_is_an_error_with_advice(tmp_path: Path) -> None:
    same_of_both = [(POSITIVE, "x"), (NEGATIVE, "x")] * 1_000
    with pytest.raises(ShardError) as caught:
        train(same_of_both, Settings(lr=10), 1, tmp_path / "model.bin")
    assert (caught.value.code, caught.value.hint) == ("training-diverged", "lower lr")
    assert "lr 10.0" in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_words_never_frequent_enough_still_give_a_score(
    domains: tuple[Labelled, Labelled], tmp_path: Path
) -> None:
    settings = Settings(epoch=1, min_count=10**6, word_ngrams=1)
    train(domains[0][:100], settings, 1, tmp_path / "model.bin")
    student = FastTextStudent(tmp_path / "model.bin")
    assert student.score(["a word", ""]).tolist() == [0, 0]
    assert student.telling(5) == {"positive": [], "negative": []}
