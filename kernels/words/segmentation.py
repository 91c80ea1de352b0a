"""Text cut before white space, so that each different piece is worked on once.

A segment is a run of white space and the run of other characters after it. No rule of byte-level
BPE's pattern reaches from one segment into another, so a text's tokens are those of its segments.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from kernels.hashing.hashing import Hashes, xxh64
from kernels.text.utf8 import Bytes, Offsets, space_width, text_buffers

Ids = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Segments:
    """``texts`` [kinds] are the different segments in order of their hashes; ``kind`` [segments]
    says which one each is; those of row i are ``kind[starts[i]:starts[i + 1]]``, in order."""

    texts: list[str]
    kind: Offsets
    starts: Offsets

    def replace(self, ids: Ids, bounds: Offsets) -> tuple[Ids, Offsets]:
        """Each segment replaced by what belongs to its kind, ``ids[bounds[k]:bounds[k + 1]]``.

        Gives the ids of all rows and where each row's begin [rows + 1].
        """
        lengths = np.diff(bounds)[self.kind]
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        out = np.empty(ends[-1], np.uint32)
        _replace(self.kind, ids, bounds, out)
        return out, ends[self.starts]


def segments(text: pa.LargeStringArray) -> Segments:
    """The segments of every row. A cut is made before a space, tab or line break that follows any
    other character, and nowhere else: odd white space stays inside a segment."""
    data, offsets = text_buffers(text)
    starts = np.zeros(len(text) + 1, np.int64)
    _count(data, offsets, starts)
    begins = np.empty(starts[-1] + 1, np.int64)
    hashes = np.empty(starts[-1], np.uint64)
    _fill(data, offsets, begins, hashes)
    _, first, kind = np.unique(hashes, return_index=True, return_inverse=True)
    raw = data.tobytes()
    # A segment ends where the next one begins: rows lie one after the other.
    texts = [raw[begins[i] : begins[i + 1]].decode() for i in first.tolist()]
    return Segments(texts, kind, starts)


@numba.njit(cache=True, inline="always")
def _next_cut(data: Bytes, at: int, stop: int) -> int:
    """Where the segment that begins at ``at`` ends."""
    after_space = True
    while at < stop:
        width = space_width(data, at)
        if width == 0:
            after_space = False
            at += 1
            while at < stop and data[at] & 0xC0 == 0x80:
                at += 1
            continue
        byte = data[at]
        if not after_space and (byte == 0x20 or byte == 0x0A or byte == 0x09 or byte == 0x0D):
            return at
        after_space = True
        at += width
    return stop


@numba.njit(cache=True, nogil=True)
def _count(data: Bytes, offsets: Offsets, starts: Offsets) -> None:
    for row in range(len(offsets) - 1):
        at, stop, count = offsets[row], offsets[row + 1], 0
        while at < stop:
            at = _next_cut(data, at, stop)
            count += 1
        starts[row + 1] = starts[row] + count


@numba.njit(cache=True, nogil=True)
def _fill(data: Bytes, offsets: Offsets, begins: Offsets, hashes: Hashes) -> None:
    i = 0
    for row in range(len(offsets) - 1):
        at, stop = offsets[row], offsets[row + 1]
        while at < stop:
            end = _next_cut(data, at, stop)
            begins[i] = at
            hashes[i] = xxh64(data, at, end, np.uint64(0))
            at = end
            i += 1
    begins[i] = offsets[-1]


@numba.njit(cache=True, nogil=True)
def _replace(kind: Offsets, ids: Ids, bounds: Offsets, out: Ids) -> None:
    at = 0
    for i in range(len(kind)):
        for j in range(bounds[kind[i]], bounds[kind[i] + 1]):
            out[at] = ids[j]
            at += 1
