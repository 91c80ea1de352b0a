"""Which characters are words of their own: the definition, in plain Python."""

from __future__ import annotations

RANGES = (
    (0x0E00, 0x0FFF),  # Thai, Lao, Tibetan
    (0x1000, 0x107F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x1940, 0x1ABF),  # Tai Le, New Tai Lue, Tai Tham
    (0x3000, 0x9FFF),  # kana, ideographs
    (0x20000, 0x3FFFF),  # more ideographs
)


def is_unspaced(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in RANGES)
