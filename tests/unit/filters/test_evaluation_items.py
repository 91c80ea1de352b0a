"""Evaluation items are read as sets write them, and what is looked for follows from length."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import json_lines, packed

from filters.evaluation_items import (
    MAX_NAMED,
    EvaluationFile,
    EvaluationIndex,
    Hits,
    Item,
    Limits,
    load,
    stamp_of,
)
from pipeline.errors import ShardError

LIMITS = Limits(ngram=13, min_words=8, max_edits=2, max_document_frequency=10)
NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
NUMBERS += ["eleven", "twelve", "thirteen", "fourteen"]


def words(count: int) -> str:
    return " ".join(NUMBERS[:count])


def file_of(
    folder: Path,
    rows: list[Any],
    name: str = "quiz",
    fields: tuple[str, ...] | None = None,
    suffix: str = "",
) -> EvaluationFile:
    path = folder / f"{name or 'common'}.jsonl{suffix}"
    path.write_bytes(packed(json_lines(rows), suffix))
    return EvaluationFile(name, path, path.name, fields, True, stamp_of(path))


def index_of(*files: EvaluationFile, limits: Limits = LIMITS) -> EvaluationIndex:
    return load(files, limits)


def found(index: EvaluationIndex, *texts: str) -> list[set[str]]:
    hits = index.look(pa.array(texts, pa.large_string()))
    rows: list[set[str]] = [set() for _ in texts]
    for row, item in zip(hits.row, hits.item, strict=True):
        rows[row].add(index.names[item])
    return rows


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_items_are_read_from_plain_and_compressed_lines(tmp_path: Path, suffix: str) -> None:
    rows = [{"question": "What?", "answer": "This."}, {"query": "And?", "choices": ["a", "b"]}]
    items = list(file_of(tmp_path, rows, suffix=suffix).items())
    assert items == [
        Item("quiz#1", ("What?",), ("This.",)),
        Item("quiz#2", ("And?",), ("a", "b")),
    ]


@pytest.mark.parametrize(
    ("row", "prompts", "answers"),
    [
        ({"good": "Fine.", "bad": "Fined."}, ("Fine.", "Fined."), ()),
        ({"contexts": ["A", "B"], "continuation": "c", "gold": 0}, ("A", "B"), ("c",)),
        ({"ctx": "He", "endings": ["ran", "sat"], "label": "1"}, ("He",), ("ran", "sat")),
        (
            {"question": "Q", "choices": {"text": ["x", "y"], "label": ["A", "B"]}},
            ("Q",),
            ("x", "y", "A", "B"),
        ),
        ({"goal": "Cut", "sol1": "saw", "sol2": "hammer", "label": 0}, ("Cut",), ("saw", "hammer")),
        ({"prompt": "def f():", "canonical_solution": "pass"}, ("def f():",), ("pass",)),
        ({"text": None, "answer": 300, "id": "q1"}, (), ()),
    ],
)
def test_fields_are_known_by_their_common_names(
    tmp_path: Path, row: dict[str, Any], prompts: tuple[str, ...], answers: tuple[str, ...]
) -> None:
    assert list(file_of(tmp_path, [row]).items()) == [Item("quiz#1", prompts, answers)]


def test_named_fields_replace_the_common_ones(tmp_path: Path) -> None:
    row = {"question": "not me", "stem": "me", "right": ["yes"], "wrong": "no"}
    file = file_of(tmp_path, [row], fields=("stem", "right", "wrong"))
    assert list(file.items()) == [Item("quiz#1", ("me",), ("yes", "no"))]


def test_blank_lines_count_as_lines_but_not_as_items(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_bytes(b'\n  \n{"text": "third"}\r\n\n{"text": "fifth"}')
    file = EvaluationFile("quiz", path, "quiz.jsonl", None, False, stamp_of(path))
    assert [item.name for item in file.items()] == ["quiz/quiz.jsonl#3", "quiz/quiz.jsonl#5"]


@pytest.mark.parametrize(
    ("data", "said"), [(b'{"text": "a"}\n{"text": ', ":2: "), (b"[1]\n", "not-an-object")]
)
def test_a_line_that_is_no_item_is_an_error(tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_bytes(data)
    file = EvaluationFile("quiz", path, "quiz.jsonl", None, True, stamp_of(path))
    with pytest.raises(ShardError, match=said) as error:
        list(file.items())
    assert error.value.code == "bad-row"


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_truncated_file_is_an_error(tmp_path: Path, suffix: str) -> None:
    whole = packed(json_lines([{"text": words(n % 14)} for n in range(500)]), suffix)
    path = tmp_path / f"quiz.jsonl{suffix}"
    path.write_bytes(whole[: len(whole) // 2])
    file = EvaluationFile("quiz", path, path.name, None, True, stamp_of(path))
    with pytest.raises(ShardError) as error:
        list(file.items())
    assert error.value.code == "corrupt-compression"


@pytest.mark.parametrize("suffix", [".zstd", ".bz2", ".xz"])
def test_files_are_read_as_sources_are(tmp_path: Path, suffix: str) -> None:
    rows = [{"text": words(9)}, {"question": words(8), "answer": "yes"}]
    path = tmp_path / f"quiz.jsonl{suffix}"
    path.write_bytes(packed(b"\xef\xbb\xbf" + json_lines(rows), suffix.replace("zstd", "zst")))
    nothing = {"text": None, "question": None, "answer": None}
    pq.write_table(pa.Table.from_pylist([nothing | row for row in rows]), tmp_path / "quiz.parquet")
    for file in (path, tmp_path / "quiz.parquet"):
        items = EvaluationFile("quiz", file, file.name, None, True, stamp_of(file)).items()
        found = [(item.prompts, item.answers) for item in items]
        assert found == [((words(9),), ()), ((words(8),), ("yes",))]


def test_a_file_that_changed_or_went_away_is_an_error(tmp_path: Path) -> None:
    file = file_of(tmp_path, [{"text": words(9)}])
    assert len(list(file.items())) == 1
    file.path.write_bytes(json_lines([{"text": words(10)}]))
    with pytest.raises(ShardError) as error:
        list(file.items())
    assert error.value.code == "input-changed"
    file.path.unlink()
    with pytest.raises(ShardError):
        list(file.items())


def test_questions_are_looked_for_from_min_words_on(tmp_path: Path) -> None:
    rows = [{"text": words(7)}, {"text": "and so it was at long last"}]
    index = index_of(file_of(tmp_path, rows))
    assert found(index, words(7), "And so it was, at long last.") == [set(), set()]
    rows[1] = {"text": "and so it was at long last x"}
    index = index_of(file_of(tmp_path, rows))
    assert found(index, words(7), "And so it was, at long last: x") == [set(), {"quiz#2"}]
    assert index.coverage["quiz"] == {
        **{"items": 2, "looked_for": 1, "too_short": 1, "too_common": 0},
        "texts": 1,
    }


def test_a_short_question_is_looked_for_with_each_answer(tmp_path: Path) -> None:
    row = {"question": "Who was first on the", "choices": ["moon, and when?", "top of the hill?"]}
    index = index_of(file_of(tmp_path, [row]))
    assert found(
        index, "Who was first on the top of the hill?", "who was first on the", "and when"
    ) == [{"quiz#1"}, set(), set()]


def test_a_long_answer_is_looked_for_by_itself(tmp_path: Path) -> None:
    rows = [{"question": "Count!", "answer": words(13)}, {"question": "Again!", "answer": "no"}]
    index = index_of(file_of(tmp_path, rows))
    assert found(index, f"he said: {words(13)}.", words(8)) == [{"quiz#1"}, set()]
    rows = [{"question": "Tell me now, what do you count to?", "answer": words(12)}]
    assert found(index_of(file_of(tmp_path, rows)), words(12)) == [set()]


@pytest.mark.parametrize(
    ("size", "edits", "is_found"),
    [(8, 2, True), (8, 3, False), (10, 2, True), (12, 2, True), (12, 3, False)],
)
def test_short_texts_may_have_some_words_replaced(
    tmp_path: Path, size: int, edits: int, is_found: bool
) -> None:
    index = index_of(file_of(tmp_path, [{"text": words(size)}]))
    edited = ["another"] * edits + NUMBERS[edits:size]
    assert found(index, " ".join(edited)) == [{"quiz#1"} if is_found else set()]


def test_texts_of_few_words_may_have_one_edit_in_four_words(tmp_path: Path) -> None:
    index = index_of(file_of(tmp_path, [{"text": words(6)}]), limits=Limits(13, 6, 2, 10))
    assert found(index, "x two three four five six", "x x three four five six") == [
        {"quiz#1"},
        set(),
    ]


def test_part_of_a_long_text_is_enough(tmp_path: Path) -> None:
    text = " ".join(f"word{a}{b}" for a in "abcdefgh" for b in "abcde")
    index = index_of(file_of(tmp_path, [{"text": text}]))
    parts = [" ".join(text.split()[3 : 3 + n]) for n in (12, 13, 40)]
    assert found(index, *parts) == [set(), {"quiz#1"}, {"quiz#1"}]
    shares = index.look(pa.array(parts, pa.large_string())).best(3)
    assert shares.tolist() == [0, 13 / 40, 37 / 40]


def test_equal_texts_name_the_first_item(tmp_path: Path) -> None:
    rows = [{"text": words(9)}, {"text": words(9).upper() + "!"}]
    index = index_of(file_of(tmp_path, rows))
    assert found(index, words(9)) == [{"quiz#1"}]
    assert index.coverage["quiz"]["looked_for"] == 2
    assert index.coverage["quiz"]["texts"] == 1


def test_how_questions_are_worded_is_not_looked_for(tmp_path: Path) -> None:
    kinds = ["salt", "rock", "bird", "tree", "song", "fish"]
    asked = "Which of the following is not a kind of {}?"
    rows = [{"text": asked.format(kind)} for kind in kinds]
    limits = Limits(13, 8, 2, 5)
    index = index_of(file_of(tmp_path, rows), limits=limits)
    assert found(index, asked.format("thing"), asked.format("bird")) == [set(), {"quiz#3"}]


def test_an_item_of_common_trigrams_alone_is_counted(tmp_path: Path) -> None:
    rows = [{"text": words(8)}, {"text": words(9)}, {"text": words(10)}]
    index = index_of(file_of(tmp_path, rows), limits=Limits(13, 8, 2, 1))
    assert index.coverage["quiz"]["too_common"] == 2
    assert index.coverage["quiz"]["looked_for"] == 1


def test_what_common_texts_contain_is_not_looked_for(tmp_path: Path) -> None:
    law = "Congress shall make no law respecting an establishment of religion"
    rows = [{"text": f"{law}, says who?"}, {"text": words(9)}]
    quiz = file_of(tmp_path, rows)
    common = file_of(tmp_path, [{"text": f"Article one. {law}, or prohibiting it."}], name="")
    assert found(index_of(quiz), law, words(9)) == [{"quiz#1"}, {"quiz#2"}]
    index = index_of(quiz, common)
    assert found(index, law, words(9)) == [set(), {"quiz#2"}]
    assert index.names == ("quiz#1", "quiz#2")
    assert index.coverage["quiz"]["too_common"] == 1


def test_more_words_than_can_be_numbered_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kernels.words.vocabulary.MAX_WORDS", 8)
    assert found(index_of(file_of(tmp_path, [{"text": words(8)}])), words(8)) == [{"quiz#1"}]
    with pytest.raises(ShardError, match="9 distinct words") as error:
        index_of(file_of(tmp_path, [{"text": words(9)}]))
    assert error.value.code == "too-many-words"


def test_sets_are_counted_apart(tmp_path: Path) -> None:
    one = file_of(tmp_path, [{"text": words(9)}], name="b")
    other = file_of(tmp_path, [{"text": words(3)}, {"text": words(10)}], name="a")
    coverage = index_of(one, other).coverage
    assert {name: counts["items"] for name, counts in coverage.items()} == {"a": 2, "b": 1}
    assert {name: counts["too_short"] for name, counts in coverage.items()} == {"a": 1, "b": 0}


def test_no_items_are_allowed(tmp_path: Path) -> None:
    index = index_of(file_of(tmp_path, []))
    assert found(index, words(9), "") == [set(), set()]
    assert index.coverage == {}


def hits_of(*rows: tuple[int, int, float]) -> Hits:
    row, item, share = (np.array(column) for column in zip(*rows, strict=True))
    place = np.zeros(len(rows), np.int64)
    text = pa.array([f"text {n}" for n in range(int(row.max()) + 1)], pa.large_string())
    return Hits(row, item, share, place, place + 4, text)


def test_items_are_named_by_overlap_and_counted_once() -> None:
    hits = hits_of((0, 2, 0.5), (0, 1, 0.9), (0, 1, 0.6), (0, 3, 0.4), (1, 3, 0.3))
    names = ["a", "b", "c", "d"]
    items, stretches = hits.explained(3, 0.5, names)
    assert items.to_pylist() == ["b, c", None, None]
    assert stretches.to_pylist() == ["text", None, None]
    assert hits.counts(3, 0.5).tolist() == [2, 0, 0]
    assert hits.best(3).tolist() == [0.9, 0.3, 0]


def test_of_many_items_some_are_named_and_the_others_counted() -> None:
    hits = hits_of(*((0, item, 1.0) for item in range(MAX_NAMED + 7)))
    items, _ = hits.explained(1, 0.5, [f"q#{n}" for n in range(MAX_NAMED + 7)])
    assert items[0].as_py().startswith("q#0, q#1, ")
    assert items[0].as_py().endswith(f"q#{MAX_NAMED - 1} and 7 more")


def test_real_sets_are_read_whole(shared_data: Path) -> None:
    for path in sorted((shared_data / "evals").glob("*.jsonl.zst")):
        file = EvaluationFile("set", path, path.name, None, True, stamp_of(path))
        items = list(file.items())
        with pa.input_stream(path, compression="zstd") as stream:
            lines = stream.read().splitlines()
        assert len(items) == sum(bool(line.strip()) for line in lines)
        assert all(item.prompts for item in items)
