"""Arrays that only ever grow at their end."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def with_capacity(array: npt.NDArray[Any], used: int, wanted: int) -> npt.NDArray[Any]:
    """``array`` with room for ``wanted`` items, its first ``used`` kept; doubles when it grows."""
    if wanted <= len(array):
        return array
    larger = np.empty(max(wanted, 2 * len(array)), dtype=array.dtype)
    larger[:used] = array[:used]
    return larger
