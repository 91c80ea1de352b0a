"""Lists are read as datatrove reads them, but for empty lines."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from datatrove.pipeline.filters.url_filter import parse_list
from hypothesis import given
from hypothesis import strategies as st

from filters.url_lists import archived, clean, make_lists, normalised

lines = st.one_of(
    st.text("ab#. \t\r\n\x0b\u2028é", max_size=30),
    st.lists(st.sampled_from(["bad.com", "#no", " # yes", "", " x ", "Two words"])).map("\n".join),
)


@given(text=lines)
def test_entries_are_those_of_datatrove_without_empty_ones(text: str) -> None:
    # As open() gives them: only these three end a line.
    opened = io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8")
    found = clean(text.encode()).decode().split("\n")
    assert {*found} - {""} == parse_list(opened, do_normalize=False) - {""}


@given(texts=st.lists(lines, max_size=3))
def test_words_are_those_of_datatrove_without_empty_ones(texts: list[str]) -> None:
    expected = set()
    for text in texts:
        expected |= parse_list(io.StringIO(text, newline=None), do_normalize=True)
    found = normalised([text.encode() for text in texts])
    assert found == sorted(expected - {""})


def test_a_plain_list_is_taken_as_it_is() -> None:
    raw = b"bad.com\nworse.com"
    assert clean(raw) is raw


@pytest.mark.parametrize("raw", [b"#x\na", b"a\n#x", b"a\r\n", b" a", "é".encode()])
def test_other_lists_are_not(raw: bytes) -> None:
    assert clean(raw) == raw.decode().replace("#x", "").strip().encode()


def test_a_list_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        clean(b"k\xe4se.de\n")


def test_every_list_is_looked_into() -> None:
    lists = make_lists([b"a.com", b"b.com\n"], [b"a.com/x"], [b"one"], [b"two\nthree"], [b"four"])
    names = pa.array(["b.com", "c.com", "a.com", ""], pa.large_string())
    assert lists.list_domains(names).tolist() == [True, False, True, False]
    urls = pa.array(["a.com/x", "one/two-three", "f-O-u-r"], pa.large_string())
    assert lists.list_urls(urls).tolist() == [True, False, False]
    hard, soft = lists.words(urls)
    assert (hard.tolist(), soft.tolist()) == ([0, 1, 0], [0, 2, 0])
    assert lists.subwords(urls).tolist() == [False, False, True]


def test_files_are_read_from_an_archive(tmp_path: Path) -> None:
    contents = {"domains": b"a.com\n" * 10_000, "urls": b""}
    with tarfile.open(tmp_path / "lists.tar.gz", "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    assert archived(tmp_path / "lists.tar.gz") == contents
