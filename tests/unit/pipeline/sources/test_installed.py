"""What this machine has installed is real text: stable, portable in its names, never run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reading import Rows, codes, freeze, problems, rows_of, texts

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Refusal, ShardError
from pipeline.sources.fields import Document
from pipeline.sources.installed import SHARD_BYTES, Installed
from pipeline.sources.installed_documents import Unusable, documents, python_text
from pipeline.sources.installed_files import TOPICS, Kind, choose, find, required
from pipeline.sources.rows import RowError
from pipeline.sources.source import Shard


def installed(kind: Kind, max_bytes: int = 300_000, **fields: object) -> Installed:
    return Installed.model_validate({"kind": kind, "max_bytes": max_bytes, **fields})


def everything(fmt: Installed) -> tuple[Rows, Rows]:
    return rows_of(read for shard in freeze(fmt, Path()) for read in fmt.read(shard))


@pytest.mark.parametrize("kind", ["source", "docstrings", "descriptions", "licenses"])
def test_this_machine_has_text_of_each_kind(kind: Kind) -> None:
    documents, quarantined = everything(installed(kind))
    assert sum(map(len, texts(documents))) > 20_000
    assert len(quarantined) <= 0.2 * (len(documents) + len(quarantined))
    assert all(row["_source"].split("/")[0] in ("stdlib", "site", "doc") for row in documents)
    places = [(row["_source"], row["_offset"]) for row in documents]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("kind", ["source", "licenses"])
def test_the_choice_is_stable_and_grows_with_its_size(kind: Kind) -> None:
    small, again = freeze(installed(kind), Path()), freeze(installed(kind), Path())
    assert small == again
    names = [name for shard in small for name in shard.names]
    assert names == sorted(names)
    assert sum(shard.bytes for shard in small) <= 300_000


def test_shards_are_of_a_few_megabytes() -> None:
    fmt = installed("source", 2 * SHARD_BYTES + 10_000, packages="standard-library")
    shards = freeze(fmt, Path())
    assert [shard.number for shard in shards] == list(range(len(shards)))
    assert 2 <= len(shards) <= 4
    assert all(shard.bytes <= SHARD_BYTES for shard in shards)


def test_no_path_of_this_machine_is_in_the_documents() -> None:
    documents, _ = everything(installed("source", packages="standard-library"))
    for row in documents:
        columns = [row[name] for name in ("id", "source", "_source", "metadata", "url")]
        assert not any(sys.prefix in str(value) for value in columns)


def test_our_own_installation_and_caches_are_left_out() -> None:
    names = [file.name for kind in ("source", "descriptions") for file in find(kind, "all")]
    assert not [n for n in names if "__pycache__" in n or "__editable__" in n or "/winnow-" in n]
    assert [n for n in names if n == "stdlib/json/decoder.py"]


def test_docstrings_are_those_in_the_file() -> None:
    source = b'''"""Module."""
import os; os.abort()
class A:
    """Class."""
    if True:
        def f(self):
            """ Method
                indented."""
    def g(self): pass
def bad(): "\\ud800"
'''
    found = list(documents("docstrings", "site/x.py", source))
    assert found[:3] == [
        Document("Module."),
        Document("Class.", metadata='{"object":"A"}'),
        Document("Method\nindented.", metadata='{"object":"A.f"}'),
    ]
    assert isinstance(found[3], Unusable)
    assert found[3].error.code == "lone-surrogate"
    assert len(found) == 4


@pytest.mark.parametrize(
    ("kind", "raw", "code"),
    [
        ("docstrings", b"def (:", "malformed-python"),
        ("docstrings", b"x = '\x00'", "malformed-python"),
        ("source", b"# -*- coding: nonsense -*-\n", "bad-encoding"),
        ("source", b"# coding: ascii\n'\xe9'\n", "bad-encoding"),
        ("source", b"x = 1\ny = 2\n'\xff'\n", "invalid-utf8"),
        ("licenses", b"caf\xe9", "invalid-utf8"),
    ],
)
def test_files_that_are_no_text_get_a_code(kind: Kind, raw: bytes, code: str) -> None:
    [item] = documents(kind, "site/x", raw)
    assert isinstance(item, Unusable)
    assert (item.error.code, item.raw) == (code, raw)


def test_source_is_read_in_the_encoding_it_declares() -> None:
    assert python_text(b"# coding: latin-1\n'\xe9'") == "# coding: latin-1\n'é'"
    assert python_text(b"\xef\xbb\xbfx = 1") == "x = 1"
    with pytest.raises(RowError) as caught:
        python_text(b"# coding: utf-7\n'+2AA-'")
    assert caught.value.code in ("lone-surrogate", "bad-encoding")


def test_descriptions_are_the_body_or_the_old_header() -> None:
    new = b"Metadata-Version: 2.1\nName: x\n\n# Title\n\ntext\n"
    old = b"Metadata-Version: 1.1\nDescription: First\n        second\n"
    assert list(documents("descriptions", "m", new)) == [Document("# Title\n\ntext\n")]
    assert list(documents("descriptions", "m", old)) == [Document("First\nsecond")]
    assert list(documents("descriptions", "m", b"Name: x\n")) == []


def test_the_standard_library_alone_has_no_descriptions() -> None:
    with pytest.raises(Refusal, match="no descriptions"):
        freeze(installed("descriptions", packages="standard-library"), Path())


def test_the_standard_library_has_manuals() -> None:
    fmt = installed("manuals", 3_000_000, packages="standard-library")
    documents, quarantined = everything(fmt)
    assert not quarantined
    # `help("for")` is one of the topics.
    assert any(text.startswith('The "for" statement') for text in texts(documents))


def test_a_list_of_packages_is_all_that_is_read() -> None:
    packages = ["standard-library", "NumPy", "typing-extensions"]
    names = [file.name for file in find("source", packages)]
    assert {name.split("/")[1] for name in names if name.startswith("site/")} == {
        "numpy", "typing_extensions.py",
    }  # fmt: skip
    alone = [file.name for file in find("source", "standard-library")]
    assert [name for name in names if name.startswith("stdlib/")] == alone
    assert {file.name.split("/")[1] for file in find("source", ["orjson"])} == {"orjson"}
    [described] = find("descriptions", ["orjson"])
    assert described.name.endswith("-info/METADATA")


def test_requirements_are_what_winnow_needs_everywhere() -> None:
    names = required("winnow")
    assert {"numpy", "torch", "pydantic", "pydantic-core"} <= set(names)
    # Extras of ours, and what others ask for on some platforms or Pythons alone.
    assert not {"pytest", "mypy", "hypothesis", "colorama", "importlib-metadata"} & set(names)
    assert not [name for name in names if name.startswith(("nvidia", "triton"))]
    listed = find("descriptions", ["standard-library", *names])
    assert find("descriptions", "requirements") == listed
    assert len(listed) >= len(names) - 5


def test_a_package_that_is_not_installed_is_named_at_its_place() -> None:
    fmt = installed("source", packages=["numpy", "nunpy", "standard-library"])
    [found] = problems(fmt, Path())
    assert (found.path, found.code) == (("packages", 1), "no-such-package")
    assert "'nunpy'" in found.message


@pytest.fixture
def distribution_of_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A distribution with two recorded files, one of which is gone, and one without a size."""
    name = "three-files"
    info = tmp_path / "three_files-1.dist-info"
    info.mkdir()
    requires = "Requires-Dist: orjson\nRequires-Dist: numpy\n >=2\nRequires-Dist: x; extra == 'y'"
    described = f"Metadata-Version: 2.1\nName: {name}\n{requires}\n\nRequires-Dist: no-header\n"
    (info / "METADATA").write_text(described)
    (info / "RECORD").write_text("gone.py,sha256=a,5\nkept.py,sha256=b,6\nunsized.py,,\n")
    (tmp_path / "kept.py").write_text("a = 1\n")
    (tmp_path / "unsized.py").write_text("bcd = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


def test_a_recorded_file_that_was_deleted_is_not_chosen(distribution_of_three: str) -> None:
    found = find("source", [distribution_of_three])
    sizes = {"site/gone.py": 5, "site/kept.py": 6, "site/unsized.py": 8}
    assert {entry.name: entry.size for entry in found} == sizes
    chosen = [file.name for file, _ in choose(found, "source", 100)]
    assert chosen == ["site/kept.py", "site/unsized.py"]


def test_requirements_are_those_in_the_header_without_conditions(
    distribution_of_three: str,
) -> None:
    assert required(distribution_of_three)[:2] == ("numpy", "orjson")
    assert not {"x", "no-header"} & set(required(distribution_of_three))


def test_a_changed_file_fails_its_shard(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("x = 1\n")
    fmt = installed("source")
    shard = Shard("py", 0, ((str(path), "0" * 64),), ("site/x.py",), 6)
    with pytest.raises(ShardError) as caught:
        list(fmt.read(shard))
    assert caught.value.code == "input-changed"


def test_a_file_over_the_cap_is_quarantined(tmp_path: Path) -> None:
    path = tmp_path / "x.py"
    path.write_text("#" * 5_000)
    digest = sha256_file(path)
    shard = Shard("py", 0, ((str(path), digest),), ("site/x.py",), 5_000)
    documents, quarantined = rows_of(installed("source", max_row_bytes=4_999).read(shard))
    assert not documents
    assert codes(quarantined) == [(0, "row-too-long")]
    assert quarantined[0]["raw_bytes"] == 5_000


def test_manual_pages_are_read_as_text_and_notes_as_they_are() -> None:
    page = b".TH X 1\n.SH NAME\nx \\- y\n"
    assert list(documents("manuals", "man/man1/x.1", page)) == [Document("X(1)\n\nNAME\n\nx - y\n")]
    assert list(documents("manuals", "doc/x/README", page)) == [Document(page.decode())]
    assert list(documents("manuals", "man/man1/z.1", b".so man1/x.1\n")) == []


def test_names_decide_what_belongs_to_a_kind() -> None:
    notes = [file.name for file in find("manuals", "all") if file.name != f"stdlib/{TOPICS}"]
    licenses = [file.name for file in find("licenses", "all")]
    assert not set(notes) & set(licenses)
    for name in (*notes, *licenses):
        assert not name.endswith((".py", ".so", ".html", ".png", ".xz", ".bz2"))


@pytest.mark.parametrize("kind", ["licenses", "manuals", "source"])
def test_a_byte_order_mark_is_no_text(kind: Kind) -> None:
    marked = b"\xef\xbb\xbfx = 1"
    assert list(documents(kind, "doc/x/README", marked)) == [Document("x = 1")]
