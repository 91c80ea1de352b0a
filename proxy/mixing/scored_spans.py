"""Which parts of a held-out document are scored: up to 4,096 bytes, spread over it.

The beginning alone would be licences and front matter. The bytes are the same whatever the
tokenizer.
"""

from __future__ import annotations

from dataclasses import dataclass

SCORED_BYTES = 4_096
# Of a longer document, this many spans of equal size, the first at its beginning and the last at
# its end.
SPANS = 4
# What stands before a span and is not scored: about as much as any context of tokens holds.
CONTEXT_BYTES = 4_096


@dataclass(frozen=True)
class ScoredSpan:
    """``text`` is scored after ``context``, which ``begins`` where the document does, or not."""

    context: str
    text: str
    begins: bool


def scored_spans(text: str, scored_from: int = 0) -> list[ScoredSpan]:
    """The spans of ``text`` from character ``scored_from`` on, in order, cut between characters."""
    data, first = text.encode(), len(text[:scored_from].encode())
    length = len(data) - first
    if length <= SCORED_BYTES:
        places = [(first, len(data))]
    else:
        size = SCORED_BYTES // SPANS
        starts = [first + number * (length - size) // (SPANS - 1) for number in range(SPANS)]
        places = [(start, start + size) for start in starts]
    return [_span(data, _boundary(data, start), _boundary(data, stop)) for start, stop in places]


def scored_part(text: str, scored_from: int = 0) -> str:
    """The spans of a document in one text; of a question and answer, both."""
    if scored_from:
        return text
    return "\n".join(span.text for span in scored_spans(text))


def _span(data: bytes, start: int, stop: int) -> ScoredSpan:
    begin = _boundary(data, max(0, start - CONTEXT_BYTES))
    return ScoredSpan(data[begin:start].decode(), data[start:stop].decode(), begin == 0)


def _boundary(data: bytes, at: int) -> int:
    """The nearest place at or before ``at`` between two characters."""
    while 0 < at < len(data) and data[at] & 0xC0 == 0x80:
        at -= 1
    return at
