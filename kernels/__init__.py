"""Compiled loops over Arrow buffers: text, words, n-grams, hashes. Imports nothing of ours.

Inputs are Arrow arrays or their buffers, outputs numpy arrays; no Python object per document.

Compiled code is kept between processes in a private folder named after the sources it came from:
numba itself looks only at the file of a function and not at those it calls.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numba


def _sources() -> str:
    digest = hashlib.sha256(numba.__version__.encode())
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix().encode()
        digest.update(name + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _private_folder(name: str) -> Path:
    """A folder of this user's alone; a fresh one when there is no lasting place to write."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(home, "winnow", "kernels", name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.getuid():
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    except OSError:  # read-only, or a file in the way
        pass
    return Path(tempfile.mkdtemp(prefix="winnow-kernels-"))


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_private_folder(_sources()))
