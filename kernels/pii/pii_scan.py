"""Personal data in texts: where it is, and texts with something else in its place.

One pass over the bytes stops only at "@", ":" and digits, and looks closer there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from kernels.pii.checksums import MAX_CARD, MAX_IBAN
from kernels.pii.pii_addresses import email_end, email_start, find_ipv4, find_ipv6, ipv6_start
from kernels.pii.pii_context import is_digit, name_characters
from kernels.pii.pii_numbers import find_card, find_iban, iban_start
from kernels.pii.pii_phones import ROOM, find_phone
from kernels.text.edits import strings
from kernels.text.utf8 import Bytes, Offsets, text_buffers

KINDS = ("email", "ip", "phone", "iban", "card")
EMAIL, IP, PHONE, IBAN, CARD = range(len(KINDS))
_SHORTEST = 6  # bytes of a match: a@b.cc

Counts = npt.NDArray[np.int64]
Kinds = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Matches:
    """Personal data of some texts: match i is ``kinds[i]`` (an index of KINDS) and lies at
    ``data[starts[i]:ends[i]]``; those of row r are ``first[r]:first[r + 1]``, in order and apart.
    """

    data: Bytes
    offsets: Offsets
    first: Counts
    starts: Counts
    ends: Counts
    kinds: Kinds

    def counts(self, kind: int) -> Counts:
        """How many [rows] there are of one kind."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.kinds == kind)])
        return np.diff(before[self.first])

    def spans(self, row: int) -> list[tuple[str, int, int]]:
        """(kind, first byte, end) in the text of ``row``."""
        begin = int(self.offsets[row])
        return [
            (KINDS[self.kinds[i]], int(self.starts[i]) - begin, int(self.ends[i]) - begin)
            for i in range(self.first[row], self.first[row + 1])
        ]

    def replaced(self, replacements: Mapping[str, Sequence[str]]) -> pa.LargeStringArray:
        """The texts with each match replaced by one of the strings for its kind, which take turns
        within a text, beginning with the first. A kind that is not given stays."""
        given = [[s.encode() for s in replacements.get(kind, ())] for kind in KINDS]
        flat = [s for choices in given for s in choices]
        choices = np.cumsum([0, *map(len, given)])
        bounds = np.cumsum([0, *map(len, flat)])
        joined = np.frombuffer(b"".join(flat) or b"\0", dtype=np.uint8)
        out_offsets = np.zeros(len(self.offsets), dtype=np.int64)
        match = (self.first, self.starts, self.ends, self.kinds)
        _new_offsets(self.offsets, *match, choices, bounds, out_offsets)
        out = np.empty(out_offsets[-1], dtype=np.uint8)
        _replace(self.data, self.offsets, *match, choices, bounds, joined, out)
        return strings(out, out_offsets)


def find(
    text: pa.LargeStringArray, kinds: Sequence[str] = KINDS, *, public_ips_only: bool = True
) -> Matches:
    """Personal data of these ``kinds`` in every text.

    With ``public_ips_only``, addresses of private networks and other special ones are left alone.
    """
    data, offsets = text_buffers(text)
    wanted = np.array([kind in kinds for kind in KINDS])
    stops = np.zeros(256, dtype=np.bool_)
    stops[ord("@")] = wanted[EMAIL]
    stops[ord(":")] = wanted[IP]
    stops[0x30:0x3A] = wanted[EMAIL + 1 :].any()
    # Memory that is not written to costs nothing, and counting first would.
    room = int(offsets[-1] - offsets[0]) // _SHORTEST + 1
    starts, ends = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    found = np.empty(room, dtype=np.int8)
    first = np.zeros(len(offsets), dtype=np.int64)
    names = name_characters() if wanted[EMAIL] else np.empty(0, dtype=np.uint8)
    _scan(data, offsets, wanted, stops, public_ips_only, names, first, starts, ends, found)
    total = first[-1]
    return Matches(data, offsets, first, starts[:total], ends[:total], found[:total])


@njit(cache=True)
def _scan(
    data: Bytes,
    offsets: Offsets,
    wanted: npt.NDArray[np.bool_],
    stops: npt.NDArray[np.bool_],
    public_only: bool,
    names: Bytes,
    first: Counts,
    starts: Counts,
    ends: Counts,
    kinds: Kinds,
) -> None:
    room = np.empty(ROOM, dtype=np.int64)
    characters = np.empty(max(MAX_IBAN, MAX_CARD), dtype=np.uint8)
    count = 0
    for row in range(len(offsets) - 1):
        end = offsets[row + 1]
        at = begin = free = offsets[row]  # before ``free`` all is decided
        while at < end:
            if not stops[data[at]]:
                at += 1
                continue
            start = stop = at
            kind = EMAIL
            if data[at] == 0x40:
                start = email_start(data, free, at, names)
                stop = email_end(data, at, end, names) if start < at else at
                # A number was taken for something else than the first half of an address.
                while stop > at and count > first[row] and ends[count - 1] > start:
                    count -= 1
            elif data[at] == 0x3A:
                kind = IP
                start = ipv6_start(data, max(begin, free), at)
                stop = find_ipv6(data, start, end, public_only) if start < at else at
            else:
                start, stop, kind = _number(
                    data, begin, at, end, wanted, public_only, room, characters
                )
            if stop > at:
                starts[count], ends[count], kinds[count] = start, stop, kind
                count += 1
                at = stop
                free = stop if kind == EMAIL else free
                continue
            at += 1
            while at < end and is_digit(data[at - 1]) and is_digit(data[at]):
                at += 1
        first[row + 1] = count


@njit(cache=True)
def _number(
    data: Bytes,
    begin: int,
    at: int,
    end: int,
    wanted: npt.NDArray[np.bool_],
    public_only: bool,
    room: Counts,
    characters: Bytes,
) -> tuple[int, int, int]:
    """Start, end and kind of what the first digit of a run, ``at``, belongs to; the end is ``at``
    when that is nothing."""
    if wanted[IBAN]:
        start = iban_start(data, begin, at)
        if start < at:
            stop = find_iban(data, start, end, characters)
            if stop > start:
                return start, stop, IBAN
    if wanted[CARD]:
        stop = find_card(data, begin, at, end, characters)
        if stop > at:
            return at, stop, CARD
    if wanted[IP]:
        stop = find_ipv4(data, begin, at, end, public_only)
        if stop > at:
            return at, stop, IP
    if wanted[PHONE]:
        start, stop = find_phone(data, begin, at, end, room)
        if stop > at:
            return start, stop, PHONE
    return at, at, EMAIL


@njit(cache=True)
def _new_offsets(
    offsets: Offsets,
    first: Counts,
    starts: Counts,
    ends: Counts,
    kinds: Kinds,
    choices: Counts,
    bounds: Counts,
    out_offsets: Counts,
) -> None:
    for row in range(len(offsets) - 1):
        size = offsets[row + 1] - offsets[row]
        turns = np.zeros(len(choices) - 1, dtype=np.int64)
        for i in range(first[row], first[row + 1]):
            kind = kinds[i]
            several = choices[kind + 1] - choices[kind]
            if several:
                chosen = choices[kind] + turns[kind] % several
                turns[kind] += 1
                size += bounds[chosen + 1] - bounds[chosen] - (ends[i] - starts[i])
        out_offsets[row + 1] = out_offsets[row] + size


@njit(cache=True)
def _replace(
    data: Bytes,
    offsets: Offsets,
    first: Counts,
    starts: Counts,
    ends: Counts,
    kinds: Kinds,
    choices: Counts,
    bounds: Counts,
    joined: Bytes,
    out: Bytes,
) -> None:
    to = 0
    for row in range(len(offsets) - 1):
        turns = np.zeros(len(choices) - 1, dtype=np.int64)
        at = offsets[row]
        for i in range(first[row], first[row + 1]):
            kind = kinds[i]
            several = choices[kind + 1] - choices[kind]
            if several == 0:
                continue
            chosen = choices[kind] + turns[kind] % several
            turns[kind] += 1
            size = starts[i] - at
            out[to : to + size] = data[at : starts[i]]
            to += size
            size = bounds[chosen + 1] - bounds[chosen]
            out[to : to + size] = joined[bounds[chosen] : bounds[chosen + 1]]
            to += size
            at = ends[i]
        size = offsets[row + 1] - at
        out[to : to + size] = data[at : offsets[row + 1]]
        to += size
