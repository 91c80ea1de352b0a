"""Language labels and decisions are datatrove's with the same model."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.data import Document
from datatrove.pipeline.filters import LanguageFilter
from fasttext.FastText import _FastText
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from needs import need
from pydantic import ValidationError

from filters.language import PACKAGE, RESOURCE, Language
from pipeline.documents import Docs
from pipeline.errors import Problem
from pipeline.named_files import packaged
from pipeline.step import FilterResult, ManifestView
from winnow.testing import warm_up

ENGLISH = "The people of the town went home, for it was late and nobody wanted to stay any longer."
GERMAN = "Die Leute gingen nach Hause, denn es war spät und niemand wollte noch länger bleiben."
FRENCH = "Les gens sont rentrés chez eux, car il était tard et personne ne voulait rester."

PIECES = [*ENGLISH.split(), *GERMAN.split(), *FRENCH.split(), "люди", "мы", "日本語の文章です"]
PIECES += ["שלום", "e\u0301", "</s>", "__label__en", "123", "#", "\n", "\0", "\u3000", "😀"]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=60),
    st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join),
)


@pytest.fixture(scope="module")
def model_file() -> Path:
    path = packaged(PACKAGE, *RESOURCE)
    need("lid.176.ftz", path is not None and path.is_file())
    assert path is not None
    return path


@pytest.fixture(scope="module")
def loaded(model_file: Path) -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        # It wants one fork of fastText by name, and locks for downloads.
        patch.setattr(LanguageFilter, "_requires_dependencies", [])
        yield _FastText(str(model_file))


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def columns_of(verdict: FilterResult) -> dict[str, list[Any]]:
    return {name: pa.array(values).to_pylist() for name, values in verdict.columns.items()}


def ours(step: Language, rows: list[str]) -> list[tuple[bool, dict[str, Any]]]:
    verdict = step.filter(docs_of(rows))
    columns = columns_of(verdict)
    found = []
    for row, keep in enumerate(verdict.keep.tolist()):
        metadata = {name: values[row] for name, values in columns.items()}
        for pair in metadata.pop("top_languages", ()):
            metadata[f"top_language_{pair['language']}_score"] = pair["score"]
        found.append((keep, metadata))
    return found


def theirs(loaded: Any, rows: list[str], **parameters: Any) -> list[tuple[bool, dict[str, Any]]]:
    judge = LanguageFilter(**parameters)
    judge.model._model = loaded
    found = []
    for row in rows:
        document = Document(text=row, id="")
        keep = bool(judge.filter(document))
        found.append((keep, document.metadata))
    return found


@settings(max_examples=100)
@given(
    rows=st.lists(texts, max_size=4),
    parameters=st.fixed_dictionaries(
        {
            "languages": st.sampled_from([None, "en", ["en"], ["fr", "de", "ja"]]),
            "language_threshold": st.sampled_from([0.0, 0.12450417876243591, 0.3, 0.65, 1.0]),
            "label_only": st.booleans(),
            "keep_top_pairs_threshold": st.sampled_from([-1, 0, 0.001, 0.2]),
        }
    ),
)
def test_any_text_gets_the_label_and_verdict_of_datatrove(
    loaded: Any, rows: list[str], parameters: dict[str, Any]
) -> None:
    found = ours(Language(**parameters, stop_at_eos=True), rows)
    assert found == theirs(loaded, rows, **parameters)


@given(before=texts, after=texts)
def test_a_text_is_read_to_its_end(before: str, after: str) -> None:
    assume("</s>" not in before + after)
    marked, plain = ours(Language(), [f"{before} </s> {after}", f"{before} {after}"])
    assert marked == plain


def test_what_stands_behind_an_end_mark_decides() -> None:
    rows = [f"</s> {ENGLISH}", f"</s> {GERMAN}", f"ok </s>\n{GERMAN}"]
    assert Language(languages="en").filter(docs_of(rows)).keep.tolist() == [True, False, False]
    stops = Language(languages="en", stop_at_eos=True).filter(docs_of(rows))
    assert not stops.keep.any()


def sample(path: Path, count: int) -> list[str]:
    with path.open("rb") as raw:
        lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
        return [orjson.loads(line)["text"][:20_000] for _, line in zip(range(count), lines)]  # noqa: B905


def test_real_texts_get_the_label_and_verdict_of_datatrove(loaded: Any, shared_data: Path) -> None:
    files = sorted((shared_data / "domains").glob("*.jsonl.zst"))
    assert files
    for path in files:
        rows = sample(path, 20)
        assert ours(Language(languages="en"), rows) == theirs(loaded, rows, languages="en")


def test_passages_in_128_languages_get_the_label_of_datatrove(
    loaded: Any, shared_data: Path
) -> None:
    rows = sample(shared_data / "truth" / "languages.jsonl.zst", 2_117)
    found = ours(Language(), rows)
    assert found == theirs(loaded, rows)
    assert len({metadata["language"] for _, metadata in found}) > 80


@pytest.mark.parametrize(
    ("languages", "kept"),
    [
        ("en", [True, False, False]),
        (["de"], [False, True, False]),
        (["en", "fr"], [True, False, True]),
        (None, [True, True, True]),
    ],
)
def test_documents_in_wanted_languages_stay(languages: Any, kept: list[bool]) -> None:
    verdict = Language(languages=languages).filter(docs_of([ENGLISH, GERMAN, FRENCH]))
    assert verdict.keep.tolist() == kept
    assert {r for k, r in zip(verdict.keep, verdict.reason, strict=True) if not k} <= {"language"}
    assert columns_of(verdict)["language"] == ["en", "de", "fr"]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\0", "\0\0 \r\n\t", "</s>", "__label__de"])
def test_a_text_without_words_has_the_score_of_an_empty_line(text: str) -> None:
    verdict = Language(languages="en").filter(docs_of([text]))
    assert verdict.keep.tolist() == [False]
    columns = columns_of(verdict)
    assert columns["language"] == ["en"]
    assert columns["language_score"] == [pytest.approx(0.1245, abs=1e-4)]


def test_one_line_of_ten_megabytes_gets_a_verdict() -> None:
    rows = ["x" * 10_000_000, (ENGLISH + " ") * 100_000, "日" * 3_000_000]
    verdict = Language(languages="en").filter(docs_of(rows))
    assert verdict.keep.tolist() == [False, True, False]


def test_the_score_must_be_above_the_threshold() -> None:
    step = Language(languages="en", label_only=True)
    score = columns_of(step.filter(docs_of([ENGLISH])))["language_score"][0]
    below = float(np.nextafter(score, 0))
    assert Language(language_threshold=below).filter(docs_of([ENGLISH])).keep.tolist() == [True]
    assert Language(language_threshold=score).filter(docs_of([ENGLISH])).keep.tolist() == [False]


def test_signals_are_scores_of_the_best_and_of_the_wanted_languages() -> None:
    docs = docs_of([ENGLISH, GERMAN, ""])
    signals = Language(languages=("de", "fr")).filter(docs).signals
    values = {name: np.asarray(value).tolist() for name, value in signals.items()}
    assert set(values) == {
        *("language_score", "wanted_language_score"),
        *("language_score_de", "language_score_fr"),
    }
    assert values["language_score"][0] > 0.9 > 0.1 > values["wanted_language_score"][0]
    assert values["language_score"][1] == values["language_score_de"][1]
    pairs = zip(values["language_score_de"], values["language_score_fr"], strict=True)
    assert values["wanted_language_score"] == [max(pair) for pair in pairs]
    measured = Language(languages=("de", "fr")).measure(docs)
    assert {name: np.asarray(value).tolist() for name, value in measured.items()} == values


def test_columns_are_those_that_are_announced() -> None:
    for step in (Language(), Language(languages="en", keep_top_pairs_threshold=0)):
        for rows in ([], [ENGLISH, ""]):
            verdict = step.filter(docs_of(rows))
            found = {name: pa.array(values).type for name, values in verdict.columns.items()}
            assert found == step.adds()
            docs_of(rows).with_columns(verdict.columns).batch.validate(full=True)


def problems(step: Language, folder: Path) -> list[Problem]:
    return list(step.check(ManifestView(folder, 0, ("web",))))


def test_a_model_is_found_beside_the_manifest(tmp_path: Path, model_file: Path) -> None:
    (tmp_path / "own.ftz").write_bytes(model_file.read_bytes())
    step = Language(languages="de", model="own.ftz")
    assert problems(step, tmp_path) == []
    sent = pickle.loads(pickle.dumps(step))  # noqa: S301 - what a worker is given
    warm_up([sent])
    assert sent.filter(docs_of([ENGLISH, GERMAN])).keep.tolist() == [False, True]


def test_a_missing_model_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems(Language(model="own.ftz"), tmp_path)
    assert problem.path == ("model",)
    assert problem.code == "no-file"
    assert "'own.ftz'" in problem.message


def test_a_file_that_is_no_model_is_a_problem(tmp_path: Path) -> None:
    for content in (b"", b"not a model, but long enough to look at"):
        (tmp_path / "own.ftz").write_bytes(content)
        (problem,) = problems(Language(model="own.ftz"), tmp_path)
        assert problem.path == ("model",)
        assert problem.code == "bad-model"


def test_a_model_that_is_not_installed_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filters.language.PACKAGE", "no_such_package")
    (problem,) = problems(Language(), tmp_path)
    assert problem.code == "no-model"
    assert "pip install" in problem.hint


def test_a_language_that_the_model_does_not_know_is_a_problem(tmp_path: Path) -> None:
    (problem,) = problems(Language(languages=("en", "arzz")), tmp_path)
    assert problem.path == ("languages", 1)
    assert "arz" in problem.choices
    (problem,) = problems(Language(languages="english"), tmp_path)
    assert problem.path == ("languages",)


def test_another_model_makes_another_step(tmp_path: Path, model_file: Path) -> None:
    path = tmp_path / "own.ftz"
    path.write_bytes(model_file.read_bytes())
    step = Language(model="own.ftz")
    assert problems(step, tmp_path) == []
    before = step.model_dump(mode="json")
    path.write_bytes(model_file.read_bytes() + b"x")
    after = step.model_dump(mode="json")
    assert before != after
    assert {**before, "contents": 0} == {**after, "contents": 0}


@pytest.mark.parametrize(
    "wrong", [{"languages": []}, {"language_threshold": 2}, {"keep": ["en"]}, {"languages": 1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Language(**wrong)
