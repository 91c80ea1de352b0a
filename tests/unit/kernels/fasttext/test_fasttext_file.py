"""Models are read from fastText's files and score as fastText does, to the last bit."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from fasttext.FastText import _FastText
from hypothesis import given, settings
from hypothesis import strategies as st

from kernels.fasttext.fasttext_average import new_memory
from kernels.fasttext.fasttext_file import FastTextModel, ModelError, read_labels, read_model

WORDS = ["</s>", "the", "of", "der", "и", "e\u0301", "日本語", "a"]
LABELS = {"en": 900, "de": 500, "ru": 500, "ja": 20, "fr": 3, "eng_Latn": 3, "it": 1}


@dataclass(frozen=True)
class Recipe:
    """A model with random numbers in it, as a file."""

    loss: int = 1
    dim: int = 6
    minn: int = 2
    maxn: int = 4
    bucket: int = 400
    word_ngrams: int = 1
    pruned: bool = False
    quantised: bool = False
    norms: bool = False
    quantised_output: bool = False
    words: tuple[str, ...] = tuple(WORDS)
    labels: tuple[str, ...] = tuple(LABELS)
    spread: float = 1.0

    def write(self, path: Path) -> Path:
        random = np.random.default_rng(7)
        numbers = [self.dim, 5, 5, 1, 5, self.word_ngrams, self.loss, 3, self.bucket]
        head = struct.pack("<14i", 793712314, 12, *numbers, self.minn, self.maxn, 100)
        head += struct.pack("<d", 1e-4)
        pairs = [[3, 1], [250, 0], [17, 2]] if self.pruned else []
        words, labels = len(self.words), len(self.labels)
        pruned = len(pairs) if self.pruned else -1
        body = struct.pack("<3i2q", words + labels, words, labels, 1_000, pruned)
        for word in self.words:
            body += word.encode() + b"\0" + struct.pack("<qb", 50, 0)
        for label in self.labels:
            count = LABELS.get(label, 1)
            body += f"__label__{label}".encode() + b"\0" + struct.pack("<qb", count, 1)
        body += np.array(pairs, dtype="<i4").tobytes()
        rows = words + (len(pairs) if self.pruned else self.bucket)
        body += struct.pack("<b", self.quantised)
        body += self.matrix(random, rows, self.quantised, self.norms)
        body += struct.pack("<b", self.quantised_output)
        body += self.matrix(random, labels, self.quantised_output, False)
        path.write_bytes(head + body)
        return path

    def matrix(self, random: Any, rows: int, quantised: bool, norms: bool) -> bytes:
        def floats(*shape: int) -> bytes:
            values: npt.NDArray[np.float64] = random.normal(0, self.spread, shape)
            return values.astype("<f4").tobytes()

        if not quantised:
            return struct.pack("<2q", rows, self.dim) + floats(rows, self.dim)
        parts, last = (self.dim + 1) // 2, 2 - self.dim % 2
        body = struct.pack("<b2qi", norms, rows, self.dim, rows * parts)
        body += random.integers(0, 256, rows * parts).astype("u1").tobytes()
        body += struct.pack("<4i", self.dim, parts, 2, last) + floats(self.dim * 256)
        if norms:
            body += random.integers(0, 256, rows).astype("u1").tobytes()
            body += struct.pack("<4i", 1, 1, 1, 1) + floats(256)
        return body


RECIPES = {
    "tree": Recipe(),
    "softmax": Recipe(loss=3),
    "peaked": Recipe(loss=3, spread=5.0),
    "peaked tree": Recipe(spread=5.0),
    "word n-grams": Recipe(word_ngrams=3, minn=1, maxn=3, bucket=97),
    "word n-grams only": Recipe(word_ngrams=2, minn=0, maxn=0),
    "words only": Recipe(minn=0, maxn=0, bucket=0, loss=3),
    "wide": Recipe(dim=37, minn=3, maxn=6, bucket=2_000),
    "pruned": Recipe(quantised=True, pruned=True, bucket=300),
    "pruned word n-grams": Recipe(quantised=True, pruned=True, bucket=300, word_ngrams=2),
    "quantised": Recipe(quantised=True, norms=True, dim=7),
    "quantised output": Recipe(quantised=True, quantised_output=True, loss=3),
    "one label": Recipe(labels=("en",)),
}

PIECES = [*WORDS[1:], "</s>", "__label__en", "__label__", "x</s>", "word", "extraordinarily"]
PIECES += [" ", "\n", "\t", "\0", "\r\n", "\v", "\f", "\u00a0", "😀", "<", ">", "שלום", "x" * 90]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.lists(st.sampled_from(PIECES), max_size=20).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[FastTextModel, Any]]:
    """Each recipe read by us and by fastText."""
    folder = tmp_path_factory.mktemp("models")
    paths = {name: recipe.write(folder / name) for name, recipe in RECIPES.items()}
    return {name: (read_model(path), _FastText(str(path))) for name, path in paths.items()}


def ours(model: FastTextModel, rows: list[str]) -> list[tuple[str | None, dict[str, float]]]:
    best, scores = model.predict(pa.array(rows, pa.large_string()), stop_at_eos=True)
    return [
        (
            model.labels[first] if first >= 0 else None,
            {model.labels[i]: float(values[i]) for i in np.flatnonzero(values)},
        )
        for first, values in zip(best, scores, strict=True)
    ]


def theirs(model: Any, rows: list[str]) -> list[tuple[str | None, dict[str, float]]]:
    found: list[tuple[str | None, dict[str, float]]] = []
    for row in rows:
        labels, scores = model.predict(row.replace("\n", " "), k=-1)
        names = [label.removeprefix("__label__") for label in labels]
        found.append((names[0] if names else None, dict(zip(names, scores.tolist(), strict=True))))
    return found


@pytest.mark.parametrize("name", RECIPES)
@settings(max_examples=25)
@given(rows=st.lists(texts, max_size=4))
def test_any_text_scores_as_in_fasttext(
    models: dict[str, tuple[FastTextModel, Any]], name: str, rows: list[str]
) -> None:
    model, oracle = models[name]
    assert ours(model, rows) == theirs(oracle, rows)
    # The second time all words are known.
    assert ours(model, rows) == theirs(oracle, rows)


@pytest.mark.parametrize("name", RECIPES)
def test_kernels_meet_matrices_of_one_type(
    models: dict[str, tuple[FastTextModel, Any]], name: str
) -> None:
    model, _ = models[name]
    for matrix in (model.inputs.vectors, model.outputs.vectors):
        assert not matrix.flags.writeable
        assert matrix.flags.c_contiguous


def test_a_full_memory_changes_nothing(models: dict[str, tuple[FastTextModel, Any]]) -> None:
    model, oracle = models["tree"]
    small = replace(model, memory=new_memory(model.inputs.maxn, words=8))
    rows = [f"word{i} the {'long' * i} of" for i in range(40)]
    assert ours(small, rows) == theirs(oracle, rows)
    assert int(small.memory.used[0]) == 8
    assert ours(small, rows) == theirs(oracle, rows)


def test_long_texts_are_read_to_their_end(models: dict[str, tuple[FastTextModel, Any]]) -> None:
    model, oracle = models["pruned"]
    rows = ["der " * 50_000 + "the", "日本語" * 20_000, "a\n" * 30_000]
    assert ours(model, rows) == theirs(oracle, rows)


def test_a_text_that_cannot_be_read_has_no_label(tmp_path: Path) -> None:
    recipe = Recipe(words=("the",), maxn=0, minn=0, bucket=0)
    model = read_model(recipe.write(tmp_path / "model"))
    assert ours(model, ["", "unknown", "the"])[:2] == [(None, {}), (None, {})]
    assert ours(model, ["the"])[0][0] in LABELS


def test_labels_are_read_without_the_matrices(tmp_path: Path) -> None:
    path = Recipe().write(tmp_path / "model")
    path.write_bytes(path.read_bytes()[:500])
    assert read_labels(path) == tuple(LABELS)
    with pytest.raises(ModelError, match="too early"):
        read_model(path)


@pytest.mark.parametrize("recipe", [Recipe(), RECIPES["pruned"], RECIPES["quantised"]])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    whole = recipe.write(tmp_path / "model").read_bytes()
    path = tmp_path / "cut"
    cuts = {*range(0, 700, 7), *range(700, len(whole), math.ceil(len(whole) / 50))}
    for cut in cuts:
        path.write_bytes(whole[:cut])
        with pytest.raises(ModelError):
            read_model(path)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, 1, "no fastText model"),
        (4, 11, "format 11"),
        (8, 7, "do not fit"),  # dim
        (28, 0, "do not fit"),  # word_ngrams
        (32, 2, "no classifier"),  # loss: negative sampling
        (36, 1, "no classifier"),  # model: CBOW
        (40, 401, "do not fit"),  # bucket
        (48, 1_000, "do not fit"),  # maxn
        (64, 99, "damaged"),  # words and labels
        (68, -1, "damaged"),  # words
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    tmp_path: Path, at: int, value: int, message: str
) -> None:
    path = Recipe().write(tmp_path / "model")
    data = bytearray(path.read_bytes())
    data[at : at + 4] = struct.pack("<i", value)
    path.write_bytes(data)
    with pytest.raises(ModelError, match=message):
        read_model(path)


def test_buckets_that_lead_out_of_the_matrix_are_refused(tmp_path: Path) -> None:
    path = RECIPES["pruned"].write(tmp_path / "model")
    pairs = np.array([[3, 1], [250, 0], [17, 2]], dtype="<i4").tobytes()
    for wrong in ([3, 3], [300, 0], [-1, 0], [3, -1]):
        data = path.read_bytes()
        assert data.count(pairs) == 1
        changed = np.array([[3, 1], [250, 0], wrong], dtype="<i4").tobytes()
        other = tmp_path / "other"
        other.write_bytes(data.replace(pairs, changed))
        with pytest.raises(ModelError, match="do not fit"):
            read_model(other)


def test_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    path = Recipe().write(tmp_path / "model")
    path.write_bytes(path.read_bytes()[:-4] + struct.pack("<f", math.nan))
    with pytest.raises(ModelError, match="do not fit"):
        read_model(path)


def test_quantised_norms_of_the_output_are_refused(tmp_path: Path) -> None:
    path = RECIPES["quantised output"].write(tmp_path / "model")
    data = bytearray(path.read_bytes())
    size = len(Recipe().matrix(np.random.default_rng(), len(LABELS), True, False))
    assert data[-size] == 0
    data[-size] = 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match="norms"):
        read_model(path)
