"""From listed files to shards: large files are split, small ones packed together.

Neither depends on workers, and the key of a shard depends on names and places alone: a file that is
edited leaves every key as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from pipeline.sources.source import FilePart, InputFile


def split(file: InputFile, shard_bytes: int) -> Iterator[FilePart]:
    """Parts that begin at multiples of ``shard_bytes``.

    The last one has from half to one and a half of that, and goes to the end of the file wherever
    that is, so that a file which grows keeps its parts.
    """
    count = max(1, (file.size + shard_bytes // 2) // shard_bytes)
    for number in range(count):
        end = None if number == count - 1 else (number + 1) * shard_bytes
        yield FilePart(file, number * shard_bytes, end)


def pack(parts: Iterable[FilePart], pack_bytes: int) -> Iterator[tuple[FilePart, ...]]:
    """The parts in their order, whole files together while they have ``pack_bytes`` or less.

    A pack begins where the hash of a file's name says so, with a probability that grows with the
    file's size. Packs that end as soon as they are full would all shift when one file is added or
    removed; these change where it is, and are the same again from the next such name on. With half
    of ``pack_bytes`` between two such names on average, few packs end because they are full.
    """
    held: list[FilePart] = []
    size = 0
    for part in parts:
        alone = not part.is_whole or part.bytes >= pack_bytes
        if held and (alone or size + part.bytes > pack_bytes or _begins(part, pack_bytes // 2)):
            yield tuple(held)
            held, size = [], 0
        if alone:
            yield (part,)
        else:
            held.append(part)
            size += part.bytes
    if held:
        yield tuple(held)


def _begins(part: FilePart, mean_bytes: int) -> bool:
    digest = hashlib.blake2b(part.file.name.encode(), digest_size=8).digest()
    return int.from_bytes(digest) * mean_bytes < part.bytes << 64
