"""The label store: shared by processes, and never paid twice."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.judges.answers import Answer, Label
from classifiers.labelling import label_store
from classifiers.labelling.label_store import (
    CHUNK,
    Attempt,
    LabelStore,
    Stored,
    read_answer,
    store_path,
    write_answer,
)
from pipeline.errors import Refusal

ANSWER = Answer({"a": Label((0.25, 0.75), 0.9)}, {"b": "low-mass"}, "because")


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def stored(number: int, answer: Answer = ANSWER) -> Stored:
    return Stored(key(number), "judge", "request", key(number + 1), 0, answer, 100, 2)


@pytest.fixture
def store(tmp_path: Path) -> LabelStore:
    return LabelStore(tmp_path / "folder" / "labels.sqlite")


def another(code: str, store: LabelStore) -> subprocess.Popen[str]:
    """Another process with the store open, as ``store``; it runs the code."""
    whole = (
        "import sys, time, os\nfrom pathlib import Path\n"
        "from classifiers.labelling.label_store import *\n"
        "store = LabelStore(Path(sys.argv[1]))\n"
        "key = lambda number: number.to_bytes(32, 'big')\n" + code
    )
    command = [sys.executable, "-c", whole, str(store.path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


# --- labels ---


def test_labels_come_back_as_they_were_written(store: LabelStore) -> None:
    store.write([stored(1), stored(2)], [])
    assert store.find([key(1), key(2), key(3)]) == {key(1): stored(1), key(2): stored(2)}


def test_more_keys_than_one_statement_takes(store: LabelStore) -> None:
    count = 2 * CHUNK + 3
    store.write([stored(n) for n in range(count)], [])
    assert len(store.find([key(n) for n in range(count)])) == count


def test_the_first_answer_stays(store: LabelStore) -> None:
    store.write([stored(1)], [])
    store.write([stored(1, Answer.refused("http-400"))], [])
    assert store.find([key(1)])[key(1)].answer == ANSWER


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=26),
    st.floats(0, 1),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_answers_survive_being_written(shares: list[float], mass: float, said: str) -> None:
    answer = Answer({"a": Label(tuple(shares), mass)}, {"b": "code"}, said)
    assert read_answer(write_answer(answer)) == answer


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"labels": {"a": {}}}', '{"labels": 1}'])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        read_answer(text)


def test_withdrawn_labels_are_gone_and_the_ledger_stays(store: LabelStore) -> None:
    store.write([stored(1), stored(2)], [Attempt("job", "", key(1), "document", "labelled", 5)])
    store.withdraw([key(1)])
    assert list(store.find([key(1), key(2)])) == [key(2)]
    assert len(store.attempts("job")) == 1


def test_labels_and_their_attempts_are_written_together_or_not_at_all(store: LabelStore) -> None:
    wrong = Attempt("job", "", key(1), "document", None)  # type: ignore[arg-type]
    with pytest.raises(Refusal, match="cannot be written"):
        store.write([stored(1)], [wrong])
    assert store.find([key(1)]) == {}
    store.write([stored(1)], [])  # it can be used still
    assert store.find([key(1)])


# --- claims ---


def test_a_claim_of_a_living_process_is_respected_until_it_ends(store: LabelStore) -> None:
    code = "print(len(store.claim([key(1), key(2)])[0]), flush=True)\nsys.stdin.read()"
    other = another(code, store)
    assert other.stdout is not None
    assert other.stdout.readline() == "2\n"
    assert store.claim([key(1), key(3)]) == ([key(3)], [key(1)])
    assert store.abandoned("job", "", [key(1)]) == 0
    other.kill()
    other.wait()
    assert store.claim([key(1)]) == ([key(1)], [])


def test_labels_known_by_now_are_in_neither_list(store: LabelStore) -> None:
    store.write([stored(1)], [])
    assert store.claim([key(1), key(2)]) == ([key(2)], [])


def test_written_and_released_claims_end(store: LabelStore) -> None:
    store.claim([key(1), key(2), key(3)])
    store.write([stored(1)], [])
    store.release([key(2)])
    code = "print([k[-1] for k in store.claim([key(1), key(2), key(3)])[0]])"
    out, _ = another(code, store).communicate()
    assert out == "[2]\n"


def test_only_what_a_dead_process_had_sent_is_lost(store: LabelStore) -> None:
    code = "store.claim([key(1), key(2)])\nstore.sent([key(2)])\nos.kill(os.getpid(), 9)"
    another(code, store).wait()
    assert store.abandoned("job", "engine", [key(1), key(2), key(3)]) == 1
    (lost,) = store.attempts("job")
    assert (lost.key, lost.outcome, lost.prompt_tokens) == (key(2), "lost", 0)
    assert store.abandoned("job", "engine", [key(1), key(2)]) == 0, "it is entered once"


def test_a_process_that_cannot_be_seen_holds_a_claim_for_a_while(
    store: LabelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One in another container, on a host of another name."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "elsewhere")
        store.claim([key(1)])
    assert store.claim([key(1)]) == ([], [key(1)])
    now = label_store.time.time()
    monkeypatch.setattr(label_store.time, "time", lambda: now + label_store.LEASE_S + 1)
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("socket.gethostname", lambda: "elsewhere")
        store.renew()
    assert store.claim([key(1)]) == ([], [key(1)])
    monkeypatch.setattr(label_store.time, "time", lambda: now + 2 * label_store.LEASE_S + 2)
    assert store.claim([key(1)]) == ([key(1)], [])


def test_processes_that_begin_together_share_what_there_is(tmp_path: Path) -> None:
    """Six at once open a store that is not there yet, claim, and write; each key once."""
    path = LabelStore.__new__(LabelStore)
    path.path = tmp_path / "new.sqlite"
    code = (
        "mine = []\n"
        "for start in range(0, 200, 10):\n"
        "    got = store.claim([key(n) for n in range(start, start + 10)])[0]\n"
        "    store.sent(got)\n"
        "    answer = Answer.refused('x')\n"
        "    store.write([Stored(k, 'j', 'r', k, 0, answer, 1, 1) for k in got],\n"
        "                [Attempt('job', '', k, 'document', 'labelled') for k in got])\n"
        "    mine += got\n"
        "print(len(mine))\n"
    )
    others = [another(code, path) for _ in range(6)]
    counts = [int(other.communicate()[0]) for other in others]
    assert sum(counts) == 200
    store = LabelStore(path.path)
    assert len(list(store.labels())) == len(store.attempts("job")) == 200


# --- judges and costs ---


def test_judges_are_found_by_model_and_the_beginning_of_a_revision(store: LabelStore) -> None:
    store.add_judge("one", "model", "abcdef", "tok")
    store.add_judge("two", "model", "", "tok")
    store.add_judge("three", "other", "abcdef", "tok")
    assert store.judges("model", "abc") == [("one", "abcdef", "tok")]
    assert store.judges("model", "b") == []
    assert store.judges("model") == [("two", "", "tok")], "no revision is not any revision"


def test_the_first_probe_stays_until_others_are_asked(store: LabelStore) -> None:
    store.add_judge("judge", "m", "", "t")
    assert store.probe("judge", "words") is None
    store.set_probe("judge", "words", [0.5, 0.5])
    store.set_probe("judge", "words", [0.1, 0.9])
    assert store.probe("judge", "words") == [0.5, 0.5]
    assert store.probe("judge", "other words") is None
    store.set_probe("judge", "other words", [1.0])
    assert store.probe("judge", "other words") == [1.0]


def test_settings_keep_the_order_of_categories(store: LabelStore) -> None:
    store.add_request("r", {"choices": {"b": 1, "a": 2}})
    assert next(store.rows("requests")) == ("r", '{"choices":{"b":1,"a":2}}')


def test_gpu_time_is_that_of_all_servers_of_a_job(store: LabelStore) -> None:
    store.engine_ended("job", "one", "vllm", 2, 10.0, None)
    store.engine_ended("job", "one", "vllm", 2, 15.0, (1, 2, 3))
    store.engine_ended("job", "two", "vllm", 0, 5.0, None)
    store.engine_ended("other", "three", "vllm", 1, 100.0, None)
    assert store.gpu_seconds("job") == 35.0
    assert store.gpu_seconds("nobody") == 0.0


def test_ledger_is_in_the_order_in_which_it_was_written(store: LabelStore) -> None:
    first = Attempt("job", "e", None, "probe", "labelled", 1, 2, 3, 0.5)
    second = Attempt("job", "", key(1), "document", "http-500")
    store.write([], [first])
    store.write([], [second, Attempt("other", "", key(1), "document", "labelled")])
    assert store.attempts("job") == [first, second]


# --- files that are something else ---


def test_path_is_the_environments_or_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINNOW_LABELS", "/x/y.sqlite")
    assert store_path() == Path("/x/y.sqlite")
    monkeypatch.delenv("WINNOW_LABELS")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert store_path() == Path("/c/winnow/labels.sqlite")


def refusal(path: Path) -> Refusal:
    with pytest.raises(Refusal) as caught:
        LabelStore(path)
    assert caught.value.code == "label-store"
    assert "WINNOW_LABELS" in caught.value.hint
    assert str(path) in caught.value.message
    return caught.value


def test_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    path.write_bytes(b"something else entirely" * 100)
    assert "not a database" in refusal(path).message
    assert path.read_bytes() == b"something else entirely" * 100


def test_store_of_a_later_version(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    database = sqlite3.connect(path)
    database.execute("create table whatever (x)")
    database.execute("pragma user_version=2")
    database.close()
    assert "version 2, not 1" in refusal(path).message


def test_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    database = sqlite3.connect(path)
    database.execute("create table recipes (x)")
    database.commit()
    assert "something else" in refusal(path).message
    assert database.execute("select name from sqlite_master").fetchall() == [("recipes",)]
    database.close()


def test_folder_in_place_of_the_file_and_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    refusal(tmp_path / "folder")
    (tmp_path / "file").write_text("")
    refusal(tmp_path / "file" / "labels.sqlite")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_that_cannot_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    refusal(folder / "labels.sqlite")


def test_full_disk_is_reported_and_what_was_there_stays(store: LabelStore) -> None:
    store.write([stored(0)], [])
    pages = store._db.execute("pragma page_count").fetchone()[0]
    store._db.execute(f"pragma max_page_count={pages}")
    with pytest.raises(Refusal, match="full") as caught:
        store.write([stored(n) for n in range(1, 2_000)], [])
    assert "make room" in caught.value.hint
    assert list(store.labels()) == [stored(0)]


def test_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "labels.sqlite"
    path.touch()
    LabelStore(path).write([stored(1)], [])
    assert len(list(LabelStore(path).labels())) == 1
