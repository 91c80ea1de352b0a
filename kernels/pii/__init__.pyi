from .pii_scan import KINDS, Matches, find

VERSION: int

__all__ = [
    "KINDS",
    "VERSION",
    "Matches",
    "find",
]
