"""Bad words are found as datatrove finds them with the same lists."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import orjson
import pyarrow as pa
import pytest
import zstandard
from datatrove.data import Document
from datatrove.pipeline.filters import C4BadWordsFilter
from datatrove.pipeline.filters import c4_filters as theirs_module
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.c4_badwords import C4BadWords
from pipeline.documents import Docs
from pipeline.errors import ManifestError, ShardError
from pipeline.manifest.loading import load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.jsonl import JsonLines
from pipeline.step import ManifestView
from winnow.testing import warm_up

LISTS = {
    "en": [
        "foo",
        "foo bar",
        "baz",
        "fo-o",
        "ké",
        "ασ",
        "Caps",
        "i̇x",
        "sm",
        "*",
        "_u",
        "a.b",
        "kelvin",
    ],
    "ja": ["フー", "グロ", "女の子", "ab"],
    "zh": ["坏", "性", "ab"],
}
PIECES = [
    "foo",
    "FOO",
    "bar",
    "baz",
    "fo-o",
    "kÉ",
    "ΑΣ",
    "ασ",
    "caps",
    "Caps",
    "İX",
    "sm",
    "*",
    "_u",
]
PIECES += [
    "a.b",
    "axb",
    "\u212aelvin",
    "フー",
    "グロ",
    "坏",
    "性",
    "ab",
    " ",
    "\n",
    ".",
    "_",
    "1",
    "é",
    "²",
]
PIECES += ["\u0301", "\u200d", "，", "٣", "\x00", "😀"]
texts = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
)
languages = st.sampled_from(["en", "ja", "zh", None])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where there is a list for each of LISTS."""
    path = tmp_path_factory.mktemp("lists")
    for name, words in LISTS.items():
        (path / name).write_text("".join(f"{word}\r\n" for word in words), "utf-8")
    return path


def step_in(folder: Path, **parameters: Any) -> C4BadWords:
    step = C4BadWords(**{"lists": {name: Path(name) for name in LISTS}, **parameters})
    assert list(step.check(ManifestView(folder, 0, ()))) == []
    return step


def docs_of(rows: list[str], language: list[str | None]) -> Docs:
    columns = {
        "id": pa.array([f"doc-{i}" for i in range(len(rows))], pa.large_string()),
        "text": pa.array(rows, pa.large_string()),
        "language": pa.array(language, pa.large_string()),
    }
    return Docs(pa.record_batch(columns))


def ours(step: C4BadWords, rows: list[str], language: list[str | None]) -> list[str]:
    verdict = step.filter(docs_of(rows, language))
    assert isinstance(verdict.reason, str)
    return ["" if keep else verdict.reason for keep in verdict.keep]


def theirs(folder: Path, rows: list[str], language: list[str | None]) -> list[str]:
    def local(url: str, **_: Any) -> str:
        return str(folder / url.rsplit("/", 1)[1])

    judge = C4BadWordsFilter()
    found = []
    with patch.object(theirs_module, "cached_asset_path_or_download", local):
        for row, name in zip(rows, language, strict=True):
            metadata = {} if name is None else {"language": name}
            verdict = judge.filter(Document(text=row, id="", metadata=metadata))
            found.append("" if verdict is True else verdict[1])
    return found


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.tuples(texts, languages), max_size=5))
def test_any_text_gets_the_verdict_of_datatrove(
    folder: Path, pairs: list[tuple[str, str | None]]
) -> None:
    rows, language = [text for text, _ in pairs], [name for _, name in pairs]
    assert ours(step_in(folder), rows, language) == theirs(folder, rows, language)


def test_real_texts_get_the_verdict_of_datatrove(shared_data: Path, tmp_path: Path) -> None:
    common = ["state", "of the", "court", "mother", "import", "c++", "u.s.", "no!", "anarch"]
    (tmp_path / "en").write_text("\n".join(common))
    step = C4BadWords(lists={"en": tmp_path / "en"})
    reasons = []
    for name in ("wiki", "law", "dialog", "code_python"):
        with (shared_data / "domains" / f"{name}.jsonl.zst").open("rb") as raw:
            source = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            rows = [orjson.loads(next(source))["text"][:1_000] for _ in range(200)]
        expected = theirs(tmp_path, rows, [None] * 200)
        assert ours(step, rows, [None] * 200) == expected
        reasons += expected
    assert 0 < reasons.count("") < len(reasons)


@pytest.mark.parametrize(
    ("text", "language", "bad"),
    [
        ("", "en", False),
        ("foo", "en", True),
        ("A Foo, said she", "en", True),
        ("foolish", "en", False),
        ("foo_", "en", False),
        ("foo\u0301", "en", True),
        ("éfoo", "en", False),
        ("x\nfoo\ny", "en", True),
        ("food foo", "en", True),
        ("caps Caps", "en", False),
        ("\u212aelvin", "en", True),
        ("sm", "en", False),
        ("foo", "ja", False),
        ("このフーは", "ja", True),
        ("グロ", "ja", False),
        ("大坏蛋", "zh", True),
    ],
)
def test_words_are_whole_where_words_are_spaced(
    folder: Path, text: str, language: str, bad: bool
) -> None:
    expected = ["document_removed_with_badwords" if bad else ""]
    assert (
        ours(step_in(folder), [text], [language]) == expected == theirs(folder, [text], [language])
    )


def test_a_language_without_a_list_fails_the_shard_or_is_kept(folder: Path) -> None:
    with pytest.raises(ShardError, match="'xx'"):
        step_in(folder).filter(docs_of(["foo", "foo"], ["en", "xx"]))
    step = step_in(folder, fail_on_missing_language=False)
    assert step.filter(docs_of(["foo", "foo"], ["en", "xx"])).keep.tolist() == [False, True]


def test_documents_without_a_language_have_the_default_one(folder: Path) -> None:
    step = step_in(folder, default_language="zh")
    assert step.filter(docs_of(["foo", "坏"], [None, None])).keep.tolist() == [True, False]


def test_the_kept_fraction_follows_from_ids_and_seed(folder: Path) -> None:
    docs = docs_of(["foo"] * 4_000, ["en"] * 4_000)
    step = step_in(folder, keep_fraction=0.25, seed=7)
    keep = step.filter(docs).keep
    assert 900 < keep.sum() < 1_100
    backwards = Docs(docs.batch.take(pa.array(np.arange(4_000)[::-1])))
    assert (step.filter(backwards).keep[::-1] == keep).all()
    other = step_in(folder, keep_fraction=0.25, seed=8).filter(docs).keep
    assert (other != keep).any()
    assert (step_in(folder, keep_fraction=0.5, seed=7).filter(docs).keep >= keep).all()
    assert step_in(folder, keep_fraction=1).filter(docs).keep.all()
    assert not step_in(folder).filter(docs).keep.any()


def test_bad_words_are_the_signal(folder: Path) -> None:
    verdict = step_in(folder, keep_fraction=1).filter(docs_of(["foo", "x"], ["en", "en"]))
    assert verdict.keep.tolist() == [True, True]
    assert np.asarray(verdict.signals["bad_words"]).tolist() == [1, 0]


def test_blank_lines_in_a_list_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "en").write_text("\n foo \n\n")
    step = C4BadWords(lists={"en": tmp_path / "en"})
    assert step.filter(docs_of(["", "a  b", "foo"], ["en"] * 3)).keep.tolist() == [
        True,
        True,
        False,
    ]


def test_lists_are_checked_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n\n")
    (tmp_path / "latin").write_bytes(b"caf\xe9\n")
    lists = {"en": Path("none"), "fr": Path("latin"), "de": Path("empty")}
    problems = list(C4BadWords(lists=lists).check(ManifestView(tmp_path, 0, ())))
    assert {(problem.path, problem.code) for problem in problems} == {
        (("lists", "en"), "no-file"),
        (("lists", "fr"), "bad-list"),
        (("lists", "de"), "empty-list"),
    }
    assert all(str(tmp_path) not in problem.message for problem in problems)


def test_a_manifest_that_names_a_missing_list_is_refused_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "docs.jsonl").write_text('{"text": "foo"}\n')
    manifest = tmp_path / "manifest.yaml"
    manifest.write_text(
        "sources:\n  docs: {format: jsonl, paths: docs.jsonl}\n"
        "steps:\n  - c4_badwords:\n      lists:\n        en: lists/en\n"
    )
    registry = Registry({"c4_badwords": C4BadWords}, {"jsonl": JsonLines}, {})
    with pytest.raises(ManifestError) as error:
        load_manifest(manifest, registry=registry)
    (problem,) = error.value.problems
    assert (problem.line, problem.code) == (6, "no-file")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "en").write_text("foo\n")
    (named,) = load_manifest(manifest, registry=registry).steps
    step = pickle.loads(pickle.dumps(named.step))  # noqa: S301 (as workers get it)
    assert step.filter(docs_of(["foo"], ["en"])).keep.tolist() == [False]


def test_an_edited_list_is_read_again_and_makes_another_step(tmp_path: Path) -> None:
    (tmp_path / "en").write_text("foo\n")
    step = step_in(tmp_path, lists={"en": Path("en")})
    before = step.model_dump(mode="json")
    assert step.filter(docs_of(["foo"], ["en"])).keep.tolist() == [False]
    (tmp_path / "en").write_text("other\n")
    assert step.filter(docs_of(["foo"], ["en"])).keep.tolist() == [True]
    assert step.model_dump(mode="json") != before


def test_long_repetitive_texts_take_linear_time(tmp_path: Path) -> None:
    (tmp_path / "zh").write_text("a" * 30 + "b\n")
    step = C4BadWords(lists={"zh": tmp_path / "zh"})
    assert step.filter(docs_of(["a" * 1_000_000], ["zh"])).keep.tolist() == [True]


def test_no_documents_give_no_verdicts(folder: Path) -> None:
    warm_up([step_in(folder)])
    assert ours(step_in(folder), [], []) == []


@pytest.mark.parametrize(
    "wrong", [{"lists": {}}, {"keep_fraction": 1.1}, {"seed": -1}, {"unknown": 1}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        C4BadWords(**{"lists": {"en": Path("en")}, **wrong})
