from .hashing import Hashes, xxh64_rows

VERSION: int

__all__ = [
    "VERSION",
    "Hashes",
    "xxh64_rows",
]
