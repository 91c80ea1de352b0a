"""Planted evaluation items are found and named, other texts are not, whatever the batches."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from reading import json_lines, packed

from filters.decontaminate import Decontaminate
from pipeline.documents import Docs
from pipeline.errors import ManifestError, Problem, ShardError
from pipeline.manifest import load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.jsonl import JsonLines
from pipeline.step import FilterResult, ManifestView
from winnow.testing import warm_up

LETTERS = "abcdefghijklmnoprstuvwxyz"
WORDS = ["".join(random.Random(n).choices(LETTERS, k=3 + n % 9)) for n in range(400)]
ITEMS = [
    " ".join(random.Random(f"item {n}").choices(WORDS, k=size))
    for n, size in enumerate([8, 9, 10, 12, 13, 16, 17, 20, 30, 45, 80, 200])
]
FILLER = "the quick brown fox jumps over the lazy dog and runs away from it all".split()  # noqa: SIM905


def docs_of(rows: list[str]) -> Docs:
    return Docs(pa.record_batch({"text": pa.array(rows, pa.large_string())}))


def values(verdict: FilterResult) -> dict[str, list[Any]]:
    return {name: pa.array(value).to_pylist() for name, value in verdict.signals.items()}


def named(step: Decontaminate, rows: list[str]) -> list[str | None]:
    return values(step.filter(docs_of(rows)))["contaminated_by"]


@pytest.fixture(scope="module")
def quiz(tmp_path_factory: pytest.TempPathFactory) -> Decontaminate:
    path = tmp_path_factory.mktemp("evals") / "quiz.jsonl"
    path.write_bytes(json_lines({"text": text} for text in ITEMS))
    return Decontaminate(evaluations={"quiz": str(path)})


EDITS: dict[str, Callable[[str, random.Random], str]] = {
    "verbatim": lambda text, rng: text,
    "case": lambda text, rng: text.upper(),
    "space": lambda text, rng: text.replace(" ", rng.choice(["\n", "  ", "\t", "\u3000"])),
    "punctuation": lambda text, rng: text.replace(" ", rng.choice([", ", " - ", "... ", '" '])),
    "accents": lambda text, rng: text.replace("e", "é"),
    "numbers": lambda text, rng: text.replace(" ", f" {rng.randrange(10_000)} "),
    "invisible characters": lambda text, rng: rng.choice("\u200b\u00ad\u2060\ufeff").join(text),
    "full width": lambda text, rng: text.translate({c: c + 0xFEE0 for c in range(0x21, 0x7F)}),
    "one word": lambda text, rng: replaced(text, 1, rng),
    "two words": lambda text, rng: replaced(text, 2, rng),
}


def replaced(text: str, count: int, rng: random.Random) -> str:
    words = text.split()
    for place in rng.sample(range(len(words)), count):
        words[place] = rng.choice(FILLER)
    return " ".join(words)


@given(
    number=st.integers(0, len(ITEMS) - 1),
    kind=st.sampled_from(sorted(EDITS)),
    before=st.lists(st.sampled_from(FILLER), max_size=30),
    after=st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    seed=st.integers(0, 99),
)
@settings(max_examples=200)
def test_planted_items_are_always_found_and_named(
    quiz: Decontaminate, number: int, kind: str, before: list[str], after: str, seed: int
) -> None:
    # Two of 8 or 9 words are found only if three others in a row are left.
    if kind == "two words" and number < 2:
        kind = "one word"
    text = EDITS[kind](ITEMS[number], random.Random(seed))
    verdict = quiz.filter(docs_of([f"{' '.join(before)}\n{text}\nand {after}"]))
    assert verdict.keep.tolist() == [False]
    assert verdict.reason == ["contaminated"]
    assert values(verdict)["contaminated_by"] == [f"quiz#{number + 1}"]
    share = values(verdict)["overlap"][0]
    whole = ("verbatim", "case", "space", "punctuation", "invisible characters", "full width")
    assert share == 1 if kind in whole else 0.5 <= share <= 1


@given(st.lists(st.sampled_from(FILLER + WORDS[:3]), max_size=200))
@settings(max_examples=50)
def test_text_without_a_run_of_an_item_is_kept(quiz: Decontaminate, words: list[str]) -> None:
    runs = {tuple(i.split()[n : n + 3]) for i in ITEMS for n in range(len(i.split()) - 2)}
    words = [w for n, w in enumerate(words) if tuple(words[max(0, n - 2) : n + 1]) not in runs]
    if any(tuple(words[n : n + 3]) in runs for n in range(len(words))):
        return
    verdict = quiz.filter(docs_of([" ".join(words)]))
    assert verdict.keep.tolist() == [True]
    assert values(verdict) == {
        "overlap": [0],
        "contaminated_items": [0],
        "contaminated_by": [None],
        "contaminated_text": [None],
    }


@given(
    rows=st.lists(st.one_of(st.sampled_from(ITEMS), st.text(max_size=20)), max_size=8),
    size=st.integers(1, 8),
)
@settings(max_examples=50)
def test_verdicts_do_not_depend_on_batches(quiz: Decontaminate, rows: list[str], size: int) -> None:
    rows = [row.encode(errors="ignore").decode() for row in rows]
    whole = quiz.filter(docs_of(rows))
    parts = [quiz.filter(docs_of(rows[at : at + size])) for at in range(0, len(rows), size)]
    assert whole.keep.tolist() == [keep for part in parts for keep in part.keep.tolist()]
    joined: dict[str, list[Any]] = {name: [] for name in whole.signals}
    for part in parts:
        for name, column in values(part).items():
            joined[name] += column
    assert values(whole) == joined


def test_signals_say_how_much_of_what_and_where(quiz: Decontaminate) -> None:
    row = f"First {ITEMS[9]}. Then,\n{replaced(ITEMS[4], 1, random.Random(1)).upper()}!"
    signals = values(quiz.filter(docs_of([row, "nothing here"])))
    assert signals["overlap"] == [1, 0]
    assert signals["contaminated_items"] == [2, 0]
    assert signals["contaminated_by"] == ["quiz#10, quiz#5", None]
    assert signals["contaminated_text"] == [ITEMS[9][:300], None]


def test_less_than_min_overlap_of_a_long_item_is_measured_and_stays(quiz: Decontaminate) -> None:
    words = ITEMS[10].split()
    rows = [" ".join(words[:count]) for count in (12, 13, 39, 40, 80)]
    verdict = quiz.filter(docs_of(rows))
    assert values(verdict)["overlap"] == [0, 13 / 80, 39 / 80, 0.5, 1]
    assert verdict.keep.tolist() == [True, True, True, False, False]
    assert values(verdict)["contaminated_by"] == [None, None, None, "quiz#11", "quiz#11"]
    strict = quiz.model_copy(update={"min_overlap": 1.0})
    assert strict.filter(docs_of(rows)).keep.tolist() == [True, True, True, True, False]


def test_another_limit_can_be_tried_on_measured_signals(quiz: Decontaminate) -> None:
    words = ITEMS[11].split()
    docs = docs_of([" ".join(words[:count]) for count in (0, 50, 100, 150)])
    signals = quiz.measure(docs)
    for limit in (0.25, 0.5, 0.75, 0.8):
        step = quiz.model_copy(update={"min_overlap": limit})
        assert step.apply(signals).keep.tolist() == step.filter(docs).keep.tolist()
    assert [rule.parameter for rule in quiz.rules()] == ["min_overlap"]


def test_tagging_drops_nothing_and_says_the_same(quiz: Decontaminate) -> None:
    tag = quiz.model_copy(update={"mode": "tag"})
    rows = [ITEMS[7], "nothing", f"{ITEMS[0]} {ITEMS[1]}"]
    verdict = tag.filter(docs_of(rows))
    assert verdict.keep.tolist() == [True, True, True]
    columns = {name: pa.array(column).to_pylist() for name, column in verdict.columns.items()}
    assert columns == {
        "contaminated_by": ["quiz#8", None, "quiz#1, quiz#2"],
        "contamination": [1, 0, 1],
    }
    assert values(verdict) == values(quiz.filter(docs_of(rows)))
    assert tag.rules() == []


def test_columns_are_those_that_are_announced(quiz: Decontaminate) -> None:
    for step in (quiz, quiz.model_copy(update={"mode": "tag"})):
        for rows in ([], ["nothing"], [ITEMS[3]]):
            verdict = step.filter(docs_of(rows))
            assert verdict.columns.keys() == step.adds().keys()
            types = [pa.array(column).type for column in verdict.columns.values()]
            assert types in ([], [pa.large_string(), pa.float64()])


ODD = ["", " ", "\n\n", "word", "\x00", "\x00" * 99, "!!!", "0", "1 2 3 4 5 6 7 8 9", "e\u0301"]
ODD += ["ש" * 99, "\u202e\u202d", "水" * 999, "😀 " * 99, "s t d m ll re ve", "don't " * 50]


def test_odd_texts_are_kept(quiz: Decontaminate) -> None:
    verdict = quiz.filter(docs_of(ODD))
    assert verdict.keep.all()
    assert values(verdict)["overlap"] == [0] * len(ODD)


def test_a_very_long_line_is_searched_to_its_end(quiz: Decontaminate) -> None:
    rows = ["x" * 10_000_000, "lorem ipsum " * 500_000 + ITEMS[2], "水" * 2_000_000]
    assert named(quiz, rows) == [None, "quiz#3", None]


def problems(step: Decontaminate, folder: Path, columns: tuple[str, ...] = ()) -> list[Problem]:
    return list(step.check(ManifestView(folder, 0, ("web",), columns)))


def write(folder: Path, name: str, texts: list[str]) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(packed(json_lines({"text": text} for text in texts), path.suffix))
    return path


def test_files_are_found_from_the_folder_of_the_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "evals/a.jsonl", ITEMS[:1])
    write(tmp_path, "evals/b1.jsonl.zst", ITEMS[1:3])
    write(tmp_path, "evals/b2.jsonl.gz", ITEMS[3:4])
    evaluations: Mapping[str, Any] = {"a": "evals/a.jsonl", "b": ["evals/b*.zst", "evals/*.gz"]}
    step = Decontaminate(evaluations=evaluations)
    assert problems(step, tmp_path) == []
    monkeypatch.chdir("/")
    step = pickle.loads(pickle.dumps(step))  # noqa: S301 - what a worker is given
    warm_up([step])
    assert named(step, ITEMS[:5]) == ["a#1", "b/b1.jsonl.zst#1", "b/b1.jsonl.zst#2",
                                      "b/b2.jsonl.gz#1", None]  # fmt: skip
    assert {name: counts["items"] for name, counts in step.coverage().items()} == {"a": 1, "b": 3}


def test_a_glob_takes_every_file_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("c", "a", "b"):
        write(tmp_path, f"evals/{name}.jsonl", [ITEMS[ord(name) - ord("a")]])
    step = Decontaminate(evaluations={"all": {"paths": "evals/*.jsonl", "fields": ["text"]}})
    assert problems(step, tmp_path) == []
    assert named(step, ITEMS[:3]) == [f"all/{name}.jsonl#1" for name in "abc"]


def test_fields_may_be_nested(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_bytes(orjson.dumps({"doc": {"body": ITEMS[0]}, "id": "x"}))
    step = Decontaminate(evaluations={"own": {"paths": "e.jsonl", "fields": ["doc.body"]}})
    assert problems(step, tmp_path) == []
    assert named(step, ITEMS[:2]) == ["own#1", None]


def test_a_pattern_that_reaches_into_too_many_folders_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.sources.glob_walk.MAX_FOLDERS", 3)
    for number in range(5):
        write(tmp_path, f"{number}/e.jsonl", ITEMS[:1])
    (problem,) = problems(Decontaminate(evaluations={"all": "**/e.jsonl"}), tmp_path)
    assert (problem.path, problem.code) == (("evaluations", "all"), "too-many-folders")
    assert "before the first wildcard" in problem.hint


def test_every_missing_file_is_a_problem_with_its_place(tmp_path: Path) -> None:
    write(tmp_path, "there.jsonl", ITEMS)
    evaluations: Mapping[str, Any] = {
        "one": "gone.jsonl",
        "two": ["there.jsonl", "none*.jsonl"],
        "three": {"paths": "lost.jsonl"},
    }
    found = problems(Decontaminate(evaluations=evaluations, common="law.jsonl"), tmp_path)
    assert {problem.path: problem.message.split("'")[1] for problem in found} == {
        ("evaluations", "one"): "gone.jsonl",
        ("evaluations", "two", 1): "none*.jsonl",
        ("evaluations", "three", "paths"): "lost.jsonl",
        ("common",): "law.jsonl",
    }
    assert {problem.code for problem in found} == {"no-evaluation-file"}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "bad-row"),
        (b'{"text": "a"}\nno\n', "bad-row"),
        (b'{"label": 1}\n', "no-text"),
        (b"", "no-text"),
    ],
)
def test_a_file_without_items_is_a_problem(tmp_path: Path, data: bytes, code: str) -> None:
    (tmp_path / "quiz.jsonl").write_bytes(data)
    (problem,) = problems(Decontaminate(evaluations={"quiz": "quiz.jsonl"}), tmp_path)
    assert (problem.path, problem.code) == (("evaluations", "quiz"), code)
    assert "quiz.jsonl" in problem.message


def test_a_truncated_file_is_a_problem(tmp_path: Path) -> None:
    path = write(tmp_path, "quiz.jsonl.zst", ITEMS)
    path.write_bytes(path.read_bytes()[:-20])
    (problem,) = problems(Decontaminate(evaluations={"quiz": path.name}), tmp_path)
    assert problem.code == "corrupt-compression"


# Different items without a trigram of their own.
ALIKE = [" ".join(ITEMS[:1] * count) for count in range(2, 14)]


@pytest.mark.parametrize(
    ("texts", "parameters", "reasons"),
    [
        (["too short"] * 12, {}, "12 have fewer words than `min_words`"),
        (ALIKE, {"max_document_frequency": 11}, "12 are worded like many others"),
        ([*ALIKE[:3], "short"], {"max_document_frequency": 2}, "1 have fewer words than "),
    ],
)
def test_a_set_of_which_nothing_is_looked_for_is_a_problem(
    tmp_path: Path, texts: list[str], parameters: dict[str, Any], reasons: str
) -> None:
    write(tmp_path, "quiz.jsonl", texts)
    write(tmp_path, "good.jsonl", ITEMS[3:])
    step = Decontaminate(evaluations={"quiz": "quiz.jsonl", "good": "good.jsonl"}, **parameters)
    (problem,) = problems(step, tmp_path)
    assert (problem.path, problem.code) == (("evaluations", "quiz"), "nothing-to-look-for")
    assert f"0 of {len(texts)} items of 'quiz' would be looked for" in problem.message
    assert reasons in problem.message
    assert "fields" in problem.hint


def test_items_that_are_not_looked_for_are_reported(tmp_path: Path) -> None:
    write(tmp_path, "quiz.jsonl", [*ITEMS[:3], "too short"])
    write(tmp_path, "good.jsonl", ITEMS[3:])
    step = Decontaminate(evaluations={"quiz": "quiz.jsonl", "good": "good.jsonl"})
    assert problems(step, tmp_path) == []
    metrics = step.metrics()
    assert metrics["evaluations"] == step.coverage()
    assert metrics["warnings"] == [
        "3 of 4 items of 'quiz' were looked for; 1 have fewer words than `min_words`"
    ]


def test_columns_are_added_only_by_tags(tmp_path: Path) -> None:
    assert Decontaminate(evaluations={"quiz": "quiz.jsonl"}).adds() == {}


def test_a_missing_file_names_the_line_of_the_manifest(tmp_path: Path) -> None:
    write(tmp_path, "web.jsonl", ["a"])
    path = tmp_path / "m.yaml"
    path.write_text(
        "sources:\n  web: {format: jsonl, paths: web.jsonl}\nsteps:\n  - decontaminate:\n"
        "      evaluations:\n        quiz: gone.jsonl\n"
    )
    registry = Registry({"decontaminate": Decontaminate}, {"jsonl": JsonLines}, {})
    with pytest.raises(ManifestError) as error:
        load_manifest(path, registry=registry)
    (problem,) = error.value.problems
    assert (problem.line, problem.code) == (6, "no-evaluation-file")
    write(tmp_path, "gone.jsonl", ITEMS)
    assert load_manifest(path, registry=registry).steps[0].name == "decontaminate"


def test_other_items_make_another_step(tmp_path: Path) -> None:
    write(tmp_path, "quiz.jsonl", ITEMS)
    step = Decontaminate(evaluations={"quiz": "quiz.jsonl"})
    assert problems(step, tmp_path) == []
    before = step.model_dump(mode="json")
    write(tmp_path, "quiz.jsonl", [*ITEMS, "one more"])
    assert problems(step, tmp_path) == []
    after = step.model_dump(mode="json")
    assert before != after
    assert {**before, "contents": 0} == {**after, "contents": 0}


def test_items_that_change_after_the_check_stop_the_shard(tmp_path: Path) -> None:
    write(tmp_path, "quiz.jsonl", ITEMS)
    step = Decontaminate(evaluations={"quiz": "quiz.jsonl"})
    assert problems(step, tmp_path) == []
    write(tmp_path, "quiz.jsonl", ITEMS[:3])
    with pytest.raises(ShardError) as error:
        warm_up([step])
    assert error.value.code == "input-changed"


@pytest.mark.parametrize(
    "wrong",
    [
        {"evaluations": {}},
        {"evaluations": {"a": {"paths": "a", "fields": []}}},
        {"ngram": 7},
        {"ngram": 3, "min_words": 3},
        {"min_overlap": 0},
        {"min_overlap": 1.1},
        {"max_edits": -1},
        {"mode": "keep"},
        {"unknown": 1},
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Decontaminate(**{"evaluations": {"quiz": "quiz.jsonl"}, **wrong})


SETS = ("arc_easy", "blimp", "copa", "gsm8k", "humaneval", "mbpp", "openbookqa", "winogrande")


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Decontaminate:
    folder = shared_data / "evals"
    return Decontaminate(evaluations={name: str(folder / f"{name}.jsonl.zst") for name in SETS})


def rows_of(path: Path) -> list[dict[str, Any]]:
    lines = pa.CompressedInputStream(str(path), "zstd").read().splitlines()
    return [orjson.loads(line) for line in lines]


def test_real_items_are_found_in_real_documents(real: Decontaminate, shared_data: Path) -> None:
    carriers = [row["text"][:2_000] for row in rows_of(shared_data / "domains/wiki.jsonl.zst")]
    rng = random.Random(3)
    texts, names = [], []
    for evaluation in SETS:
        items = rows_of(shared_data / "evals" / f"{evaluation}.jsonl.zst")
        for number, item in rng.sample(list(enumerate(items, 1)), 60):
            text = next(item[k] for k in ("query", "text", "good", "contexts") if k in item)
            text = text[0] if isinstance(text, list) else text
            if len(text.split()) >= 12:
                texts.append(f"{rng.choice(carriers)} {text.upper()} {rng.choice(carriers)}")
                names.append(f"{evaluation}#{number}")
    found = named(real, texts)
    assert len(names) > 200
    for name, by in zip(names, found, strict=True):
        assert by is not None, name
        assert name.partition("#")[0] in by
    # Some items have the words of another, which is named.
    assert sum(name in (by or "").split(", ") for name, by in zip(names, found, strict=True)) > 200


@pytest.mark.parametrize("domain", ["wiki", "code_python", "law"])
def test_real_documents_hold_none_of_them(
    real: Decontaminate, shared_data: Path, domain: str
) -> None:
    texts = [row["text"] for row in rows_of(shared_data / "domains" / f"{domain}.jsonl.zst")]
    verdict = real.filter(docs_of(texts[:500]))
    assert np.flatnonzero(~verdict.keep).tolist() == []
