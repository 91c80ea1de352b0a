"""Fault 58: a catastrophic regular expression runs in linear time, or the manifest is refused."""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow as pa
import pytest

from filters.regex import Regex
from pipeline.documents import Docs
from pipeline.errors import ManifestError
from pipeline.manifest import Manifest, load_manifest
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat

REGISTRY = Registry({"regex": Regex}, {"lines": SourceFormat}, {})


def load(expression: str, folder: Path) -> Manifest:
    path = folder / "m.yaml"
    path.write_text(
        f"sources: {{a: {{format: lines}}}}\nsteps:\n  - regex:\n      regex_exp: '{expression}'\n"
    )
    return load_manifest(path, registry=REGISTRY)


def test_nested_repetition_is_linear(tmp_path: Path) -> None:
    (named,) = load("(a+)+$", tmp_path).steps
    assert isinstance(named.step, Regex)
    docs = Docs(pa.record_batch({"text": pa.array(["a" * 2**20 + "!"], pa.large_string())}))
    before = time.process_time()
    assert named.step.filter(docs).keep.tolist() == [True]
    assert time.process_time() - before < 2


@pytest.mark.parametrize("expression", ["((a{100}){100}){100}", "(?=a+)b", "(a)\\1", "[a"])
def test_what_has_no_linear_time_is_refused_at_its_line(expression: str, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        load(expression, tmp_path)
    (problem,) = caught.value.problems
    assert (problem.line, problem.code) == (4, "bad-regex")
    assert repr(expression) in problem.message
    assert problem.hint
    assert caught.value.exit_code == 2
