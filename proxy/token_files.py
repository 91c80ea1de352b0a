"""How token ids are stored: little-endian integers of 16 bits, or of 32 where ids need them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]


def token_dtype(vocabulary: int) -> np.dtype[np.uint16] | np.dtype[np.uint32]:
    """16 bits for up to 65,536 tokens, 32 for more."""
    return np.dtype("<u2") if vocabulary <= 2**16 else np.dtype("<u4")


def map_tokens(path: Path, dtype: np.dtype[np.uint16] | np.dtype[np.uint32]) -> Tokens:
    """The tokens of a file, read when they are used; an empty file cannot be mapped."""
    size = path.stat().st_size
    return np.memmap(path, dtype, "r") if size else np.empty(0, dtype)
