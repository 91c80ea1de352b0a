from __future__ import annotations

import hashlib
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup.exact_dedup import ExactDedup
from pipeline.engine.fingerprint import (
    code_digest,
    code_of,
    custom_code,
    digest,
    kernel_versions,
    sha256_file,
    versions_of,
)
from pipeline.manifest.plugin_files import custom_step

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


CODE = '''
"""What this file is for."""
import helper


class Step:
    """A step."""

    limit = 5  # characters

    def filter(self, docs):
        """Which stay."""
        return [len(text) >= self.limit for text in docs]

    def report_sections(self):
        return ["a section"]
'''
LAYOUT = [
    ("# characters", "# how many characters"),
    ('    """A step."""\n\n', ""),
    ('"""A step."""', '"""A step that drops short texts."""'),
    ('"""Which stay."""', "'Which stay.'"),
    (
        "[len(text) >= self.limit for text in docs]",
        "[\n            len(text) >= self.limit\n            for text in docs\n        ]",
    ),
    ('["a section"]', '["another section"]'),
    ("import helper", "\n\nimport helper"),
]
MEANING = [
    ("limit = 5", "limit = 6"),
    (">=", ">"),
    ("import helper", "import helpers"),
    ("def filter", "def filters"),
]


@pytest.mark.parametrize(("old", "new"), LAYOUT)
def test_wording_and_layout_of_code_do_not_change_its_digest(old: str, new: str) -> None:
    assert CODE.replace(old, new) != CODE
    assert code_digest(CODE.replace(old, new)) == code_digest(CODE)


@pytest.mark.parametrize(("old", "new"), MEANING)
def test_meaning_of_code_changes_its_digest(old: str, new: str) -> None:
    assert code_digest(CODE.replace(old, new)) != code_digest(CODE)


def own_class(folder: Path) -> type:
    return custom_step("own.py:Own", folder)


def test_code_beside_a_manifest_counts_with_the_files_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "limits_of_own.py").write_text("LEAST = 1\n")
    (tmp_path / "own.py").write_text(
        "from limits_of_own import LEAST\nfrom winnow import RowStep\n\n\n"
        "class Own(RowStep):\n    least: int = LEAST\n"
    )
    kind = own_class(tmp_path)
    before = dict(custom_code(kind))
    assert list(before) == ["code of own.py", "code of limits_of_own.py"]
    (tmp_path / "limits_of_own.py").write_text("# at least\nLEAST = 1\n")
    assert dict(custom_code(kind)) == before
    (tmp_path / "limits_of_own.py").write_text("LEAST = 2\n")
    assert dict(custom_code(kind)) != before


def test_installed_code_counts_by_its_version_alone() -> None:
    assert list(custom_code(ExactDedup)) == []
    assert versions_of(ExactDedup) == {
        "step ExactDedup": ExactDedup.version,
        **kernel_versions(ExactDedup.kernels),
    }


def test_code_of_a_package_counts_with_what_it_imports_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "package_of_tests"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "deep" / "__init__.py").write_text("LEAST = 1\n")
    (package / "deep" / "one.py").write_text("from ..words import WORDS\nclass One: ...")
    (package / "words.py").write_text("import json\nfrom package_of_tests import deep\nWORDS = 1")
    kind = import_module("package_of_tests.deep.one").One
    before = dict(code_of(kind))
    assert sorted(before) == [
        f"code of package_of_tests/{name}"
        for name in ("__init__.py", "deep/__init__.py", "deep/one.py", "words.py")
    ]
    (package / "deep" / "__init__.py").write_text("LEAST = 2\n")
    after = dict(code_of(kind))
    changed = [name for name in before if before[name] != after[name]]
    assert changed == ["code of package_of_tests/deep/__init__.py"]


def test_code_without_a_file_has_no_digest() -> None:
    assert list(code_of(len)) == []
