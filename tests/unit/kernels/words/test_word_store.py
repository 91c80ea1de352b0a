"""What a tokenizer makes of spans is kept between runs, and a damaged store is no trouble."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernels.words import word_store
from kernels.words.span_tokenizer import Piece
from kernels.words.word_store import WordStore, store_path


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_store, "SAVE_EVERY", 2)


def piece(text: str) -> Piece:
    return Piece([text, "!"], first=1, last=700, changed=True, refused=False)


def filled(path: Path, count: int) -> WordStore:
    store = WordStore(path)
    for number in range(count):
        store.put(f"span{number}", piece(f"é{number}"))
    store.save_if_grown()
    return store


def test_what_was_put_is_there_in_the_next_run(tmp_path: Path) -> None:
    filled(tmp_path / "w" / "x.parquet", 3)
    again = WordStore(tmp_path / "w" / "x.parquet")
    assert len(again) == 3
    assert again.get("span2") == piece("é2")
    assert again.get("span3") is None
    assert not [path for path in (tmp_path / "w").iterdir() if path.suffix != ".parquet"]


def test_little_news_is_not_worth_writing(tmp_path: Path) -> None:
    filled(tmp_path / "x.parquet", 1)
    assert not (tmp_path / "x.parquet").exists()


def test_a_damaged_store_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    filled(path, 50)
    whole = path.read_bytes()
    for damaged in (b"", b"junk", whole[: len(whole) // 2], whole[:40] + b"\xff" + whole[41:]):
        path.write_bytes(damaged)
        assert len(WordStore(path)) == 0
        filled(path, 5)
        assert len(WordStore(path)) == 5


def test_a_store_of_another_user_is_not_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "x.parquet", 3)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert len(WordStore(tmp_path / "x.parquet")) == 0


def test_without_a_place_to_write_nothing_is_lost_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = filled(tmp_path / "file" / "x.parquet", 5)
    assert store.get("span1") == piece("é1")


def test_a_full_store_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_store, "MAX_PIECES", 2)
    assert len(filled(tmp_path / "x.parquet", 5)) == 2


def test_each_language_and_release_has_its_own_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    german, english = store_path("de"), store_path("en")
    assert german != english
    assert german.is_relative_to("/somewhere")
    monkeypatch.setattr("spacy.__version__", "99.0")
    assert store_path("de") != german
