"""Classes of characters by name, and scripts: which code points are in them."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

CODE_POINTS = sys.maxunicode + 1


def _category(first: str) -> Callable[[str], bool]:
    return lambda character: unicodedata.category(character)[0] == first


# By name, as Python's own Unicode tables have them.
CLASSES: dict[str, Callable[[str], bool]] = {
    "letters": str.isalpha,
    "upper": str.isupper,
    "lower": str.islower,
    "digits": str.isdecimal,
    "alphanumeric": str.isalnum,
    "space": str.isspace,
    "printable": str.isprintable,
    "ascii": str.isascii,
    "marks": _category("M"),
    "punctuation": _category("P"),
    "symbols": _category("S"),
}


def is_script(name: str) -> bool:
    """Whether RE2, which Arrow holds, knows a script of Unicode by this name ("Latin", "Han")."""
    if not (name.isascii() and name.replace("_", "").isalpha() and name[0].isupper()):
        return False
    try:
        pc.match_substring_regex(pa.array([""]), rf"\p{{{name}}}")
    except pa.ArrowInvalid:
        return False
    return len(name) > 2  # shorter ones are categories


@lru_cache(maxsize=64)
def members(name: str) -> npt.NDArray[np.bool_]:
    """Which code points [0x110000] are in the class or script."""
    if name in CLASSES:
        return np.fromiter(map(CLASSES[name], map(chr, range(CODE_POINTS))), np.bool_, CODE_POINTS)
    if not is_script(name):
        raise ValueError(f"{name!r} is neither a class of characters nor a script")
    # Surrogates are in no UTF-8 text.
    codes = [*range(0xD800), *range(0xE000, CODE_POINTS)]
    found = pc.match_substring_regex(pa.array(list(map(chr, codes))), rf"\p{{{name}}}")
    members = np.zeros(CODE_POINTS, dtype=np.bool_)
    members[codes] = found.to_numpy(zero_copy_only=False)
    return members
