"""How messages show values and suggest names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MAX_SHOWN = 60  # characters of a value within a message
MAX_LISTED = 12  # names within a hint


def printable(text: str) -> str:
    """``text`` with every character that a terminal would obey replaced, at the same length."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def show_text(text: str) -> str:
    """``text`` in quotes, escaped for a terminal and cut to a readable length."""
    shown = repr(text[: MAX_SHOWN + 1])
    return shown if len(text) <= MAX_SHOWN else repr(text[:MAX_SHOWN])[:-1] + "…'"


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint that names the known name nearest to ``word``, "" when none is near."""
    if len(word) > MAX_SHOWN:
        return ""
    folded = {name.casefold(): name for name in sorted(set(known), reverse=True)}
    near = difflib.get_close_matches(word.casefold(), folded, n=1, cutoff=0.6)
    return f"did you mean {show_text(folded[near[0]])}?" if near else ""


def did_you_mean(word: str, known: Iterable[str], what: str) -> str:
    """A hint: the nearest known name, or all of them (``what`` they are) when none is near."""
    names = sorted(set(known))
    if not names or (near := nearest(word, names)):
        return near if names else ""
    more = ", …" if len(names) > MAX_LISTED else ""
    return f"{what}: {', '.join(names[:MAX_LISTED])}{more}"


def counted(number: int, noun: str) -> str:
    """``1 source``, ``2 sources``, ``3 processes``."""
    plural = f"{noun}es" if noun.endswith(("s", "x", "ch", "sh")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"
