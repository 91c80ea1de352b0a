"""Fault 49: a stale or read-only cache of compiled kernels is never used, and never in the way."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import kernels

PROGRAM = (
    "import numba, kernels\n"
    "from kernels.outer import outer\n"
    "print(numba.config.CACHE_DIR)\n"
    "print(outer(1))\n"
)
INNER = "from numba import njit\n\n\n@njit(cache=True)\ndef inner(x):\n    return x + {}\n"
OUTER = (
    "from numba import njit\n\nfrom kernels.inner import inner\n\n\n"
    "@njit(cache=True)\ndef outer(x):\n    return inner(x) * 10\n"
)


def package(folder: Path) -> Path:
    """A copy of the package's start, with two kernels of which one calls the other."""
    (folder / "kernels").mkdir()
    shutil.copy(str(kernels.__file__), folder / "kernels" / "__init__.py")
    (folder / "kernels" / "outer.py").write_text(OUTER)
    (folder / "kernels" / "inner.py").write_text(INNER.format(1))
    return folder


def compiled(folder: Path, **environment: str) -> tuple[Path, int]:
    """Where compiled code was kept, and what it computed."""
    names = ("PATH", "LD_LIBRARY_PATH")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    # Python tells sources apart by size and second; two versions of a test are of one second.
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    cache, result = done.stdout.split()
    return Path(cache), int(result)


def test_a_change_in_a_kernel_reaches_those_that_call_it(tmp_path: Path) -> None:
    folder = package(tmp_path)
    first, result = compiled(folder, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result == 20
    assert list(first.rglob("*.nbc"))
    (folder / "kernels" / "inner.py").write_text(INNER.format(2))
    second, result = compiled(folder, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result == 30
    assert second != first


def test_the_cache_is_used_again_and_nobody_elses(tmp_path: Path) -> None:
    folder = package(tmp_path)
    first, _ = compiled(folder, XDG_CACHE_HOME=str(tmp_path / "cache"))
    times = {path: path.stat().st_mtime_ns for path in first.rglob("*.nbc")}
    again, _ = compiled(folder, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert again == first
    assert {path: path.stat().st_mtime_ns for path in first.rglob("*.nbc")} == times
    assert first.stat().st_mode & 0o777 == 0o700


def test_without_a_place_to_write_kernels_are_compiled_all_the_same(tmp_path: Path) -> None:
    folder = package(tmp_path)
    (tmp_path / "file").write_text("in the way")
    cache, result = compiled(folder, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert result == 20
    assert tmp_path not in cache.parents
    shutil.rmtree(cache)
