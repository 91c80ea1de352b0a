"""Patterns mean what they mean to ``glob``."""

from __future__ import annotations

import glob
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.glob_walk import expand

names = st.sampled_from(["a", "b.x", ".h", "[c]", "d d"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
parts = st.sampled_from(["**", "*", "a", "*.x", ".*", "?.x", "[ab]*", "[!a]*", "d d", "..", "."])
patterns = st.lists(parts, min_size=1, max_size=4).map("/".join)


@given(files=st.lists(paths, max_size=6), pattern=patterns, absolute=st.booleans())
def test_files_are_those_of_glob(files: list[str], pattern: str, absolute: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "root")
        folder.mkdir()
        for file in files:
            path = folder / file
            if not any(parent.is_file() for parent in path.parents) and not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"")
        if absolute:
            pattern = glob.escape(str(folder)) + "/" + pattern
        wanted = glob.glob(pattern, root_dir=folder, recursive=True)
        assert _files(folder, expand(folder, pattern)) == _files(folder, wanted)


def _files(folder: Path, names: object) -> set[Path]:
    found = [(folder / name).resolve() for name in names]
    return {path for path in found if path.is_file()}
