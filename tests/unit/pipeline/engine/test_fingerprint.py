from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine import fingerprint
from pipeline.engine.fingerprint import code_digest, digest, sha256_file

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner)
    ),
    max_leaves=12,
)


@given(st.binary(max_size=4096))
def test_file_digest_is_sha256_of_its_bytes(content: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        assert sha256_file(Path(file.name)) == hashlib.sha256(content).hexdigest()


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=5))
def test_digest_does_not_depend_on_key_order(value: dict[str, object]) -> None:
    assert digest(value) == digest(dict(reversed(value.items())))


@given(JSON, JSON)
def test_different_values_have_different_digests(a: object, b: object) -> None:
    # JSON knows one kind of number here: integers, and booleans apart from them.
    assert (digest(a) == digest(b)) == (repr_of(a) == repr_of(b))


def repr_of(value: object) -> str:
    import json

    return json.dumps(value, sort_keys=True)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package ``toy`` whose module ``a`` imports ``b``, counted as ours."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a.py").write_text("from toy.b import value\n")
    (folder / "b.py").write_text("value = 1\n")
    (folder / "c.py").write_text("other = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fingerprint, "OURS", ("toy",))
    return folder


def fresh_code_digest(*modules: str) -> str:
    for name in [name for name in sys.modules if name.split(".")[0] == "toy"]:
        del sys.modules[name]
    fingerprint._read.cache_clear()
    fingerprint._source_of.cache_clear()
    return code_digest(modules)


def test_code_digest_follows_imports(package: Path) -> None:
    before = fresh_code_digest("toy.a")
    (package / "b.py").write_text("value = 2\n")
    assert fresh_code_digest("toy.a") != before


def test_code_digest_ignores_what_is_not_imported(package: Path) -> None:
    before = fresh_code_digest("toy.a")
    (package / "c.py").write_text("other = 2\n")
    assert fresh_code_digest("toy.a") == before


def test_code_digest_passes_over_what_only_draws_the_report(package: Path) -> None:
    drawing = (
        "    def report_sections(self):\n        from toy.b import value\n        return value\n"
    )
    (package / "a.py").write_text("class Step:\n" + drawing)
    before = fresh_code_digest("toy.a")
    (package / "b.py").write_text("value = 2\n")
    assert fresh_code_digest("toy.a") == before
    judging = drawing.replace("report_sections", "filter")
    (package / "a.py").write_text("class Step:\n" + drawing + judging)
    used = fresh_code_digest("toy.a")
    (package / "b.py").write_text("value = 3\n")
    assert fresh_code_digest("toy.a") != used


def test_code_digest_depends_on_versions_of_deciding_libraries(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (package / "b.py").write_text("import numpy\n")
    before = fresh_code_digest("toy.a")
    monkeypatch.setattr(fingerprint, "version", lambda name: "999")
    assert fresh_code_digest("toy.a") != before


def test_code_digest_of_real_modules_is_stable_and_distinct() -> None:
    assert code_digest(["pipeline.engine.row_tasks"]) == code_digest(["pipeline.engine.row_tasks"])
    assert code_digest(["pipeline.engine.row_tasks"]) != code_digest(["pipeline.engine.ids"])
