"""Fault 31: YAML that grows, nests or never ends is refused early, in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest
from pipeline.manifest.registry import Registry

BILLION_LAUGHS = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
BOMBS = {
    "alias": BILLION_LAUGHS,
    "too-deep": "sources: " + "[" * 200_000,
    "too-large": "sources: [" + "1," * 100_000 + "]",
}


def refusal(path: Path) -> ManifestError:
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, registry=Registry({}, {}, {}))
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize("code", BOMBS)
def test_a_bomb_is_refused_at_its_place(code: str, tmp_path: Path) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(BOMBS[code])
    started = time.process_time()
    tracemalloc.start()
    error = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert code in [problem.code for problem in error.problems]
    assert len(error.problems) < 50
    assert len(str(error)) < 50_000
    assert peak < 100e6
    assert time.process_time() - started < 60  # seconds; unbounded, it would be years


def test_an_endless_file_is_read_no_further_than_the_limit() -> None:
    error = refusal(Path("/dev/zero"))
    assert [problem.code for problem in error.problems] == ["too-large"]


def test_an_alias_is_refused_even_when_it_is_harmless(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("sources: &s {}\nsteps: *s\n")
    places = [(p.code, p.line, p.column) for p in refusal(path).problems]
    assert ("anchor", 1, 10) in places
    assert ("alias", 2, 8) in places
