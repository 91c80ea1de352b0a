"""Limits on what one file may expand to."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import ShardError

# Small files may be as repetitive as they like: what they expand to is harmless.
RATIO_FROM_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Caps:
    """How much one file may expand to: ``max_bytes`` in all, and ``max_ratio`` times its size on
    disk once it has passed 64 MiB."""

    max_bytes: int
    max_ratio: float

    def check(self, name: str, expanded: int, on_disk: int) -> None:
        """Raises ShardError ``decompression-bomb``."""
        if expanded > self.max_bytes:
            limit = f"max_bytes: {self.max_bytes}"
        elif expanded > max(RATIO_FROM_BYTES, self.max_ratio * on_disk):
            limit = f"max_ratio: {self.max_ratio:g}"
        else:
            return
        raise ShardError(
            "decompression-bomb",
            f"{name}: {on_disk} bytes on disk expand to {expanded} or more, over {limit}",
            "raise the limit in this source if the file is what it should be",
        )
