"""Fault 21: a flipped bit in a page of a file of ours is found by its checksum."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tasks import documents

from pipeline.documents import DOCUMENT_SCHEMA
from pipeline.errors import ShardError
from pipeline.parquet import DocumentWriter, read_documents


def test_any_flipped_bit_in_a_page_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    noise = random.Random(3)
    texts = ["".join(noise.choices("abcdefghij ", k=400)) for _ in range(50)]
    with DocumentWriter(path, DOCUMENT_SCHEMA) as writer:
        writer.write(documents(texts))
    good = path.read_bytes()
    middle = range(len(good) // 4, len(good) // 2)  # inside the pages of the text
    for place in noise.sample(middle, 25):
        flipped = bytearray(good)
        flipped[place] ^= 1 << noise.randrange(8)
        path.write_bytes(flipped)
        with pytest.raises(ShardError):
            list(read_documents(path))
