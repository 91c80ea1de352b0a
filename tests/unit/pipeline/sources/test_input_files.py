"""Inputs are listed by name, once each, and refused where they cannot be meant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from reading import freeze, json_lines, problems

from pipeline.errors import Problem, Refusal, ShardError
from pipeline.sources.input_files import list_files
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.source import FilePart, InputFile, Shard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl", "deep/er/d.jsonl", ".hidden.jsonl"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(json_lines([{"text": name}]))
    return tmp_path


def names(folder: Path, *patterns: str) -> list[str]:
    listing = list_files(folder, patterns)
    assert not listing.problems
    return [file.name for file in listing.files]


def problem(folder: Path, pattern: str) -> Problem:
    """What is wrong with the one pattern of a source that gives no file."""
    [found] = list_files(folder, [pattern]).problems
    with pytest.raises(Refusal) as caught:
        freeze(JsonLines(paths=pattern), folder)
    assert (caught.value.code, caught.value.hint) == (found.code, found.hint)
    assert found.message in caught.value.message
    return found


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
    found = problem(folder, pattern)
    assert found.code == code
    assert pattern in found.message
    assert hint in found.hint


def test_problems_are_at_the_pattern_that_has_them(folder: Path) -> None:
    found = problems(JsonLines(paths=["data/*.jsonl", "dat/*.jsonl"]), folder)
    assert [(problem.path, problem.code) for problem in found] == [(("paths", 1), "no-files")]
    [found_alone] = problems(JsonLines(paths="dat/*.jsonl"), folder)
    assert found_alone.path == ("paths",)


def test_an_empty_list_of_paths_is_refused(folder: Path) -> None:
    [found] = problems(JsonLines(paths=[]), folder)
    assert (found.path, found.message) == (("paths",), "paths is empty")


def test_a_link_to_nothing_or_to_itself_is_refused(folder: Path) -> None:
    link = folder / "data" / "gone.jsonl"
    link.symlink_to("nothing")
    found = problem(folder, "data/*.jsonl")
    assert (found.code, "gone.jsonl" in found.message) == ("not-a-file", True)
    link.unlink()
    link.symlink_to(link.name)
    assert "gone.jsonl" in problem(folder, "data/*.jsonl").message


def test_a_name_that_is_not_utf8_is_refused_by_name(folder: Path) -> None:
    (folder / "data" / "caf\udce9.jsonl").write_bytes(b"{}")
    found = problem(folder, "data/*.jsonl")
    assert found.code == "bad-file-name"
    assert r"data/caf\xe9.jsonl" in found.message


def test_two_links_to_the_same_folder_change_nothing(folder: Path) -> None:
    before = names(folder, "data/**/*.jsonl")
    for link in ("a1", "a2", "deep/a3"):
        (folder / "data" / link).symlink_to(folder / "data")
    assert names(folder, "data/**/*.jsonl") == before


def test_the_whole_disk_is_refused_without_a_walk(folder: Path) -> None:
    found = problem(folder, "/**/*.jsonl")
    assert (found.code, "whole file system" in found.message) == ("too-many-folders", True)


def test_a_walk_ends_after_a_number_of_folders(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.sources.glob_walk.MAX_FOLDERS", 3)
    found = problem(folder, "**/*.jsonl")
    assert (found.code, "more than 3 folders" in found.message) == ("too-many-folders", True)


def test_files_are_frozen_with_size_and_time_and_are_not_opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder / "data" / "b.jsonl"
    os.utime(path, ns=(0, 1_000_000_007))
    monkeypatch.setattr("builtins.open", None)
    monkeypatch.setattr("io.open", None)
    shards = freeze(JsonLines(paths="data/*.jsonl", pack_bytes=0), folder)
    size = path.stat().st_size
    file = InputFile(
        str(path), "data/b.jsonl", size, f"{size} bytes of 1970-01-01T00:00:01.000000007Z"
    )
    assert shards[1] == Shard("web", 1, (FilePart(file),))
    assert [shard.number for shard in shards] == [0, 1]


def test_a_file_that_has_gone_fails_its_shard_only(folder: Path) -> None:
    fmt = JsonLines(paths="data/*.jsonl", pack_bytes=0)
    first, second = freeze(fmt, folder)
    (folder / "data" / "a.jsonl").unlink()
    with pytest.raises(ShardError, match=r"a\.jsonl") as caught:
        list(fmt.read(first))
    assert caught.value.code == "unreadable"
    assert len(list(fmt.read(second))) == 1
