"""Inputs are listed by name, once each, and refused where they cannot be meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import freeze, json_lines

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Refusal, ShardError
from pipeline.sources.file_lists import list_files
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.source import Shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", "deep/er/d.jsonl", ".hidden.jsonl"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json_lines([{"text": name}]))
    return tmp_path


def names(folder: Path, *patterns: str) -> list[str]:
    return [file.name for file in list_files("web", folder, patterns)]


def test_files_are_sorted_by_name_and_relative_to_the_manifest(folder: Path) -> None:
    assert names(folder, "data/*.jsonl") == ["data/a.jsonl", "data/b.jsonl"]
    assert names(folder, "data/**/*.jsonl") == [
        "data/a.jsonl", "data/b.jsonl", "data/deep/c.jsonl", "data/deep/er/d.jsonl",
    ]  # fmt: skip
    assert names(folder / "data", "../data/./b.jsonl") == ["../data/b.jsonl"]


def test_a_file_that_several_globs_match_is_read_once(folder: Path) -> None:
    patterns = ["data/b*", "data/*.jsonl", str(folder / "data" / "a.jsonl")]
    absolute = str(folder / "data" / "a.jsonl")
    assert names(folder, *patterns) == sorted([min("data/a.jsonl", absolute), "data/b.jsonl"])


def test_a_name_with_wildcard_characters_means_itself(folder: Path) -> None:
    (folder / "data" / "[ab].jsonl").write_text("")
    assert names(folder, "data/[ab].jsonl") == ["data/[ab].jsonl"]


@pytest.mark.parametrize(
    ("pattern", "code", "hint"),
    [
        ("data/*.parquet", "no-files", "relative to the manifest"),
        ("data", "no-files", "write data/*"),
        ("~/x.jsonl", "home-path", "relative"),
    ],
)
def test_patterns_that_mean_nothing_are_refused(
    folder: Path, pattern: str, code: str, hint: str
) -> None:
    with pytest.raises(Refusal) as caught:
        names(folder, pattern)
    assert caught.value.code == code
    assert pattern in caught.value.message
    assert hint in caught.value.hint


def test_an_empty_list_of_paths_is_refused(folder: Path) -> None:
    with pytest.raises(Refusal, match="paths is empty"):
        freeze(JsonLines(paths=[]), folder)


def test_a_link_to_nothing_or_to_itself_is_refused(folder: Path) -> None:
    link = folder / "data" / "gone.jsonl"
    link.symlink_to("nothing")
    with pytest.raises(Refusal, match=r"gone\.jsonl") as caught:
        names(folder, "data/*.jsonl")
    assert caught.value.code == "not-a-file"
    link.unlink()
    link.symlink_to(link.name)
    with pytest.raises(Refusal, match=r"gone\.jsonl"):
        names(folder, "data/*.jsonl")


def test_one_file_is_one_shard_with_its_digest(folder: Path) -> None:
    shards = freeze(JsonLines(paths="data/*.jsonl"), folder)
    path = folder / "data" / "b.jsonl"
    assert shards[1] == Shard(
        "web", 1, ((str(path), sha256_file(path)),), ("data/b.jsonl",), path.stat().st_size
    )
    assert [shard.number for shard in shards] == [0, 1]


def test_a_file_that_has_gone_fails_its_shard_only(folder: Path) -> None:
    fmt = JsonLines(paths="data/*.jsonl")
    first, second = freeze(fmt, folder)
    (folder / "data" / "a.jsonl").unlink()
    with pytest.raises(ShardError, match=r"a\.jsonl") as caught:
        list(fmt.read(first))
    assert caught.value.code == "unreadable"
    assert len(list(fmt.read(second))) == 1
