"""The public API: every name can be imported, and none is imported before it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import winnow


def names_for_type_checkers() -> dict[str, tuple[str, ...]]:
    """The imports that only a type checker reads."""
    tree = ast.parse(Path(winnow.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    return {
        str(node.module): tuple(alias.name for alias in node.names)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
    }


def test_every_public_name_can_be_imported() -> None:
    for name in winnow.__all__:
        assert getattr(winnow, name) is not None
    assert set(winnow.__all__) <= set(dir(winnow))


def test_type_checkers_see_the_same_names_in_the_same_places() -> None:
    assert names_for_type_checkers() == winnow._HOMES
    assert sorted(winnow._HOME) == sorted(winnow.__all__)


def test_other_names_are_refused_as_in_any_module() -> None:
    with pytest.raises(AttributeError, match="module 'winnow' has no attribute 'Nonsense'"):
        winnow.Nonsense  # noqa: B018


@pytest.mark.parametrize(
    ("code", "not_loaded"),
    [
        ("import winnow", "pipeline.errors"),
        ("from winnow import Refusal", "pydantic"),
        ("from winnow import RowStep", "pipeline.engine.stage"),
    ],
)
def test_a_name_brings_what_it_needs_and_no_more(code: str, not_loaded: str) -> None:
    shown = f"{code}\nimport sys\nprint({not_loaded!r} in sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
