"""Fault 28: a link that leads out of the folder a glob starts in is refused, unless allowed."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import freeze, json_lines, read_all, texts

from pipeline.errors import Refusal
from pipeline.sources.jsonl import JsonLines


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("in/a.jsonl", "secret/b.jsonl"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(json_lines([{"text": name}]))
    return tmp_path


@pytest.mark.parametrize("paths", ["in/*.jsonl", "in/link.jsonl", "in/**/*.jsonl"])
def test_a_link_to_a_file(folder: Path, paths: str) -> None:
    (folder / "in" / "link.jsonl").symlink_to("../secret/b.jsonl")
    with pytest.raises(Refusal) as caught:
        freeze(JsonLines(paths=paths), folder)
    assert caught.value.code == "link-outside"
    assert "in/link.jsonl" in caught.value.message
    assert "follow_links" in caught.value.hint
    documents, _ = read_all(JsonLines(paths=paths, follow_links=True), folder)
    assert "secret/b.jsonl" in texts(documents)


def test_a_link_to_a_folder(folder: Path) -> None:
    (folder / "in" / "more").symlink_to("../secret")
    with pytest.raises(Refusal) as caught:
        freeze(JsonLines(paths="in/*/*.jsonl"), folder)
    assert caught.value.code == "link-outside"


def test_a_link_within_is_the_file_it_leads_to(folder: Path) -> None:
    (folder / "in" / "link.jsonl").symlink_to("a.jsonl")
    [shard] = freeze(JsonLines(paths="in/*.jsonl"), folder)
    assert shard.names == ("in/a.jsonl",)


def test_a_folder_that_the_manifest_names_may_be_a_link_itself(folder: Path) -> None:
    (folder / "data").symlink_to("secret")
    [shard] = freeze(JsonLines(paths="data/*.jsonl"), folder)
    assert shard.names == ("data/b.jsonl",)
