"""Compiled loops over Arrow buffers: text, words, n-grams, hashes. Imports nothing of ours.

Inputs are Arrow arrays or their buffers, outputs numpy arrays; no Python object per document.

Each folder is a room with a subject of its own, and loads numba when one of its functions is first
used, not when it is imported (docs/adr/0011-kernels-load-when-used.md). Rooms import each other in
one direction: text ← hashing ← words ← ngrams; lines, match, pii and fasttext import the first two.

Compiled code is kept between processes in a private folder named after the sources it came from:
numba itself looks only at the file of a function and not at those it calls.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path


def _sources() -> str:
    digest = hashlib.sha256(version("numba").encode())
    root = Path(__file__).parent
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root).as_posix().encode()
        digest.update(name + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home, "winnow", "kernels")


def _private_folder(folder: Path) -> Path:
    """``folder`` as one of this user's alone; a fresh one where that cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid == os.getuid():
            tempfile.TemporaryFile(dir=folder).close()
            return folder
    except OSError:  # read-only, or a file in the way
        pass
    return Path(tempfile.mkdtemp(prefix="winnow-kernels-"))


def _keep_compiled_code() -> None:
    """Name the folder in the environment, where numba looks for it when it is imported.

    A name that the user gave stays. One that a parent process inherited to this one may be of other
    sources, and is replaced.
    """
    given, root = os.environ.get("NUMBA_CACHE_DIR"), _cache_root()
    if given and Path(given).parent != root:
        return
    os.environ["NUMBA_CACHE_DIR"] = str(_private_folder(root / _sources()))
    if "numba" in sys.modules:  # imported by somebody else before
        sys.modules["numba"].config.reload_config()


_keep_compiled_code()
