"""Where the parts of a large file of lines begin, so that each can be read by itself.

A part owns the lines that begin in it. To give every line the number that it has in the file, a
part has to know how many lines are before it, which one pass over the file counts. A compressed
file can be entered only where one of its members begins (a frame, in zstd), and nothing lists
those: the pass looks for the bytes that begin one, and takes a place for the beginning of a member
when all that is before it decompresses to its end, checksums included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pydantic import JsonValue

from pipeline.errors import ShardError
from pipeline.sources.caps import Caps
from pipeline.sources.decompress import expanded
from pipeline.sources.file_kinds import GZIP, PLAIN, ZSTD
from pipeline.sources.storage import CHUNK_BYTES, HashedFile

SPLIT_KINDS = frozenset({PLAIN, GZIP, ZSTD})

# How members begin, and how many bytes of it are looked at: for gzip with flags, extra flags and
# systems that are in use (RFC 1952).
_MEMBER = {
    GZIP: (re.compile(rb"\x1f\x8b\x08[\x00-\x1f].{4}[\x00\x02\x04][\x00-\x0d\xff]", re.DOTALL), 10),
    ZSTD: (re.compile(rb"\x28\xb5\x2f\xfd"), 4),
}
# Places that look like the beginning of a member and are none: one in thousands of files has one,
# unless it was made to have them.
_MOST_WRONG = 8
_CANDIDATES = 4  # looked at for each part

# Opens the file for reading from one byte to another.
Open = Callable[[int, int], HashedFile]


class Cut(NamedTuple):
    """A place at which a file can be entered.

    ``at`` counts bytes of the file, ``text`` bytes of what it expands to, ``lines`` the lines that
    end before it; ``between`` says that it is between two lines and not within one.
    """

    at: int
    text: int
    lines: int
    between: bool


BEGINNING = Cut(0, 0, 0, True)


def find_cuts(
    open_file: Open, kind: str, name: str, size: int, starts: Sequence[int], caps: Caps
) -> dict[str, JsonValue]:
    """For each of ``starts`` (ascending) the first place at or after it at which the file can be
    entered, None when there is none: then the parts from there on are empty.

    A file that is damaged, or expands to more than ``caps`` allow, can be entered only before that:
    whoever reads the part meets the damage. Raises OSError.
    """
    if kind == PLAIN:
        cuts = _plain(open_file, starts)
    else:
        windows = list(zip(starts[1:], [*starts[2:], size], strict=True))
        cuts = _packed(open_file, kind, name, windows, caps)
    return {"cuts": {str(start): cut and list(cut) for start, cut in cuts.items()}}


def cuts_of(
    index: Mapping[str, JsonValue] | None, start: int, end: int | None
) -> tuple[Cut | None, Cut | None]:
    """Where a part begins and the next one does, by what ``find_cuts`` gave; None is the end."""
    cuts = {"0": list(BEGINNING)} | (dict(index["cuts"]) if index else {})  # type: ignore[arg-type]
    first, after = cuts[str(start)], None if end is None else cuts[str(end)]
    return Cut(*first) if first else None, Cut(*after) if after else None  # type: ignore[misc]


def _plain(open_file: Open, starts: Sequence[int]) -> dict[int, Cut | None]:
    cuts: dict[int, Cut | None] = {}
    lines, between = 0, True
    with open_file(0, starts[-1]) as file:
        for before, start in pairwise(starts):
            left = start - before
            while left and (chunk := file.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                lines += chunk.count(b"\n")
                between = chunk.endswith(b"\n")
            cuts[start] = None if left else Cut(start, start, lines, between)
    return cuts


def _packed(
    open_file: Open, kind: str, name: str, windows: Sequence[tuple[int, int]], caps: Caps
) -> dict[int, Cut | None]:
    found: dict[int, Cut | None] = {}
    last, wrong = BEGINNING, 0
    for start, end in windows:
        found[start] = None
        for place in _candidates(open_file, kind, start, end):
            if wrong > _MOST_WRONG:
                break
            cut = _next_cut(open_file, kind, name, last, place, caps)
            if cut is not None:
                found[start] = last = cut
                break
            wrong += 1
    following: Cut | None = None
    for start in sorted(found, reverse=True):
        following = found[start] = found[start] or following
    return found


def _candidates(open_file: Open, kind: str, start: int, end: int) -> Iterator[int]:
    """Places in a window that look like the beginning of a member; the first few of them."""
    pattern, size = _MEMBER[kind]
    with open_file(start, end + size - 1) as file:
        places = _matches(iter(lambda: file.read(CHUNK_BYTES), b""), pattern, size)
        for number, place in enumerate(places):
            if number == _CANDIDATES:
                return
            yield start + place


def _matches(chunks: Iterable[bytes], pattern: re.Pattern[bytes], size: int) -> Iterator[int]:
    """Where a pattern of ``size`` bytes matches."""
    held, at = b"", 0
    for chunk in chunks:
        held += chunk
        # One that is cut off by the end of this chunk is whole with the next one.
        for match in pattern.finditer(held):
            yield at + match.start()
        kept = min(len(held), size - 1)
        at += len(held) - kept
        held = held[len(held) - kept :]


def _next_cut(
    open_file: Open, kind: str, name: str, last: Cut, place: int, caps: Caps
) -> Cut | None:
    """The cut at ``place`` when whole members fill all that is between ``last`` and it, or None."""
    size, lines, between = 0, 0, last.between
    with open_file(last.at, place) as file:
        try:
            for chunk in expanded(file, kind, name, caps, place - last.at):
                size += len(chunk)
                lines += chunk.count(b"\n")
                between = chunk.endswith(b"\n")
        except ShardError:
            return None
    return Cut(place, last.text + size, last.lines + lines, between)
