"""Labels carried in a file: all or none arrive, each under its own key, and nothing is lost."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.judges.answers import Answer, Label
from classifiers.judges.judge_identity import label_key
from classifiers.judges.prompts import document_id
from classifiers.labelling.label_exchange import HEADER, ImportCounts, export_labels, import_labels
from classifiers.labelling.label_store import LabelStore, Stored
from pipeline.errors import Refusal

ANSWER = Answer({"quality": Label((0.25, 0.75), 0.9)}, {"other": "low-mass"}, "Because …")


def stored(number: int, answer: Answer = ANSWER, repeat: int = 0) -> Stored:
    document = document_id(f"text {number}")
    key = label_key("judge", "request", document, repeat)
    return Stored(key, "judge", "request", document, repeat, answer, 100 + number, 2)


def filled(path: Path, labels: list[Stored]) -> LabelStore:
    store = LabelStore(path)
    store.add_judge("judge", "Qwen/Qwen3-8B", "abc", "tok")
    store.add_request("request", {"rubric": {"b": 1, "a": 2}})
    store.write(labels, [])
    return store


def write(path: Path, lines: list[Any]) -> Path:
    with pa.CompressedOutputStream(str(path), "zstd") as file:
        for line in lines:
            file.write((line if isinstance(line, bytes) else orjson.dumps(line)) + b"\n")
    return path


def read(path: Path) -> list[Any]:
    with pa.CompressedInputStream(str(path), "zstd") as file:
        return [orjson.loads(line) for line in file.read().splitlines()]


def test_everything_arrives_and_twice_is_once(tmp_path: Path) -> None:
    labels = [stored(n) for n in range(600)] + [stored(1, repeat=1), stored(7, Answer.refused("x"))]
    labels[-1] = replace(labels[-1], key=label_key("judge", "request", labels[-1].document, 9))
    labels[-1] = replace(labels[-1], repeat=9)
    here, there = filled(tmp_path / "a", labels), LabelStore(tmp_path / "b")
    assert export_labels(here, tmp_path / "x.zst") == 602
    assert import_labels(there, tmp_path / "x.zst") == ImportCounts(602, 0, 0)
    assert list(there.labels()) == list(here.labels())
    for table in ("judges", "requests"):
        assert list(there.rows(table)) == list(here.rows(table))
    assert there.judges("Qwen/Qwen3-8B", "ab") == here.judges("Qwen/Qwen3-8B", "ab") != []
    assert import_labels(there, tmp_path / "x.zst") == ImportCounts(0, 602, 0)
    export_labels(there, tmp_path / "y.zst")
    assert (tmp_path / "x.zst").read_bytes() == (tmp_path / "y.zst").read_bytes()


def test_what_is_here_stays_and_what_differs_is_counted(tmp_path: Path) -> None:
    other = Answer({"quality": Label((0.5, 0.5), 0.9)}, {})
    here = filled(tmp_path / "a", [stored(1), stored(2)])
    there = filled(tmp_path / "b", [stored(1, other)])
    export_labels(here, tmp_path / "x.zst")
    assert import_labels(there, tmp_path / "x.zst") == ImportCounts(1, 1, 1)
    assert there.find([stored(1).key])[stored(1).key].answer == other


def test_an_empty_store_is_an_empty_export(tmp_path: Path) -> None:
    assert export_labels(LabelStore(tmp_path / "a"), tmp_path / "x.zst") == 0
    assert read(tmp_path / "x.zst") == [HEADER]
    assert import_labels(LabelStore(tmp_path / "b"), tmp_path / "x.zst") == ImportCounts()


def test_the_folder_of_an_export_is_made(tmp_path: Path) -> None:
    path = tmp_path / "not" / "there" / "x.zst"
    export_labels(filled(tmp_path / "a", [stored(1)]), path)
    assert [file.name for file in path.parent.iterdir()] == ["x.zst"]


def test_an_export_that_fails_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(tmp_path / "a", [stored(1)])
    export_labels(store, tmp_path / "x.zst")
    before = (tmp_path / "x.zst").read_bytes()

    def full(self: LabelStore) -> Any:
        yield stored(1)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(LabelStore, "labels", full)
    with pytest.raises(Refusal, match="No space left") as caught:
        export_labels(store, tmp_path / "x.zst")
    assert caught.value.code == "no-export"
    assert (tmp_path / "x.zst").read_bytes() == before
    assert {path.name for path in tmp_path.glob("x*")} == {"x.zst"}


def test_an_export_into_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match="cannot be written"):
        export_labels(LabelStore(tmp_path / "a"), tmp_path / "file" / "x.zst")


def changed(**fields: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda lines: [*lines[:-1], {**lines[-1], **fields}]


def answered(label: dict[str, Any]) -> Callable[[list[Any]], list[Any]]:
    return changed(answer={"labels": {"q": label}, "errors": {}, "rationale": ""})


def shared_out(weights: list[float]) -> tuple[float, ...]:
    return tuple(weight / sum(weights) for weight in weights)


def flipped(text: str) -> str:
    raw = bytearray(base64.b64decode(text))
    raw[0] ^= 1
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize(
    ("spoil", "line", "said"),
    [
        (lambda lines: [], 1, "no export"),
        (lambda lines: [{"winnow_labels": 2}, *lines[1:]], 1, "another version"),
        (lambda lines: lines[1:], 1, "no export"),
        (changed(key="!"), 4, "not a label"),
        (changed(key=base64.b64encode(b"x" * 32).decode()), 4, "another label's"),
        (changed(by="someone else"), 4, "another label's"),
        (changed(repeat=1), 4, "another label's"),
        (changed(answer={"labels": {}}), 4, "not a label: KeyError"),
        (changed(answer={"labels": {"q": {"p": ["x"], "mass": 1}}}), 4, "not a label"),
        (answered({"p": [7.0, 1.0], "mass": 1}), 4, "add up to 1"),
        (answered({"p": [5, -4, 0], "mass": 1}), 4, "add up to 1"),
        (answered({"p": [1.0], "mass": 1}), 4, "add up to 1"),
        (answered({"p": [0.5, 0.5], "mass": 9}), 4, "the mass of q is 9"),
        (changed(answer={"labels": {}, "errors": [1], "rationale": ""}), 4, "errors are a map"),
        (changed(answer={"labels": {}, "errors": {"": 1}, "rationale": ""}), 4, "are codes"),
        (changed(prompt_tokens=None), 4, "not a label"),
        (lambda lines: [*lines, 7], 5, "not a label"),
        (lambda lines: [*lines, ["judge"]], 5, "not a label"),
        (lambda lines: [*lines, "judge"], 5, "not a label"),
        (lambda lines: [*lines, {"judge": "j"}], 5, "not a label: KeyError"),
        (lambda lines: [*lines, {**lines[1], "model": {"a": 1}}], 5, "model is no text"),
        (lambda lines: [*lines, {"request": "r", "settings": 1}], 5, "settings is no text"),
        (lambda lines: [*lines, b"{"], 4, "cannot be read"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_imported(
    tmp_path: Path, spoil: Callable[[list[Any]], list[Any]], line: int, said: str
) -> None:
    export_labels(filled(tmp_path / "a", [stored(1)]), tmp_path / "x.zst")
    write(tmp_path / "y.zst", spoil(read(tmp_path / "x.zst")))
    store = LabelStore(tmp_path / "b")
    with pytest.raises(Refusal, match=said) as caught:
        import_labels(store, tmp_path / "y.zst")
    found = int(caught.value.message.partition("y.zst:")[2].partition(":")[0])
    assert abs(found - line) <= 1
    assert "nothing was imported" in caught.value.hint
    assert list(store.labels()) == []
    assert list(store.rows("judges")) == []


def test_a_file_cut_short_imports_nothing(tmp_path: Path) -> None:
    export_labels(filled(tmp_path / "a", [stored(n) for n in range(50)]), tmp_path / "x.zst")
    whole = (tmp_path / "x.zst").read_bytes()
    for size in (0, 3, len(whole) // 2, len(whole) - 1):
        (tmp_path / "y.zst").write_bytes(whole[:size])
        store = LabelStore(tmp_path / "b")
        with pytest.raises(Refusal):
            import_labels(store, tmp_path / "y.zst")
        assert list(store.labels()) == []


def test_lines_cut_within_are_refused(tmp_path: Path) -> None:
    with pa.CompressedOutputStream(str(tmp_path / "y.zst"), "zstd") as file:
        file.write(orjson.dumps(HEADER) + b'\n{"judge": "j"')
    with pytest.raises(Refusal, match=r"y\.zst:2:1 the file ends within a line"):
        import_labels(LabelStore(tmp_path / "b"), tmp_path / "y.zst")


@pytest.mark.parametrize("content", [b"", b"plain text", b"\x28\xb5\x2f\xfd garbage"])
def test_what_is_no_export_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "y.zst").write_bytes(content)
    with pytest.raises(Refusal) as caught:
        import_labels(LabelStore(tmp_path / "b"), tmp_path / "y.zst")
    assert caught.value.code == "bad-labels"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="there is no file"):
        import_labels(LabelStore(tmp_path / "b"), tmp_path / "none.zst")
    with pytest.raises(Refusal):
        import_labels(LabelStore(tmp_path / "b"), tmp_path)


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    st.lists(
        st.builds(
            Answer,
            st.dictionaries(
                texts,
                st.builds(
                    Label,
                    st.lists(st.floats(0.001, 1), min_size=2, max_size=6).map(shared_out),
                    st.floats(0, 1),
                ),
                max_size=3,
            ),
            st.dictionaries(texts, texts, max_size=3),
            texts,
        ),
        max_size=5,
    )
)
def test_any_answer_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, answers: list[Answer]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    labels = sorted((stored(n, answer) for n, answer in enumerate(answers)), key=lambda s: s.key)
    here, there = filled(folder / "a", labels), LabelStore(folder / "b")
    export_labels(here, folder / "x.zst")
    import_labels(there, folder / "x.zst")
    assert list(there.labels()) == labels
    here.close()
    there.close()
