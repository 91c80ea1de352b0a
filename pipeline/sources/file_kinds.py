"""What a file is: by its name, and by its first bytes."""

from __future__ import annotations

import os

from pipeline.errors import ShardError

PLAIN, GZIP, ZSTD, BZIP2, XZ = "plain text", "gzip", "zstd", "bzip2", "xz"
PARQUET = "Parquet"
ARROW = "Arrow"

_BY_EXTENSION = {
    ".gz": GZIP,
    ".zst": ZSTD,
    ".zstd": ZSTD,
    ".bz2": BZIP2,
    ".xz": XZ,
    ".zip": "zip",
    ".7z": "7z",
    ".parquet": PARQUET,
    ".arrow": ARROW,
    ".arrows": ARROW,
    ".ipc": ARROW,
    ".feather": ARROW,
    ".orc": "ORC",
    ".avro": "Avro",
}
_BY_MAGIC = {
    b"\x1f\x8b": GZIP,
    b"\x28\xb5\x2f\xfd": ZSTD,
    **{bytes([n]) + b"\x2a\x4d\x18": ZSTD for n in range(0x50, 0x60)},  # skippable frames
    b"BZh": BZIP2,
    b"\xfd7zXZ\x00": XZ,
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"PAR1": PARQUET,
    b"ARROW1": ARROW,
    b"FEA1": ARROW,
    b"\xff\xff\xff\xff": ARROW,  # a stream without the magic of files, as `datasets` writes it
    b"ORC": "ORC",
    b"Obj\x01": "Avro",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}
_HINTS = {
    PLAIN: "read JSON lines with format: jsonl",
    PARQUET: "read it with format: parquet",
    ARROW: "write it as Parquet (pyarrow.parquet.write_table) and read it with format: parquet",
    "zip": "unpack it, or compress each file with zstd or gzip",
    "7z": "unpack it, or compress each file with zstd or gzip",
    "ORC": "write it as Parquet and read it with format: parquet",
    "Avro": "write it as Parquet and read it with format: parquet",
    "UTF-16 text": "save it as UTF-8",
}
_RENAME = "rename the file after what it holds (.gz for gzip, .zst for zstd), or write it again"


MAGIC_BYTES = 8  # how much of a file's beginning says what it is


def kind_by_name(path: str) -> str:
    return _BY_EXTENSION.get(os.path.splitext(path)[1].lower(), PLAIN)


def kind_by_magic(head: bytes) -> str:
    """What the first bytes of a file are those of; ``plain text`` when of no kind known here."""
    return next((kind for magic, kind in _BY_MAGIC.items() if head.startswith(magic)), PLAIN)


def check_kind(head: bytes, name: str, expected: str) -> None:
    """Raises ShardError ``wrong-format`` naming both when the first bytes contradict."""
    found = kind_by_magic(head)
    if head and found != expected:
        raise ShardError(
            "wrong-format",
            f"{name}: read as {expected}, but its first bytes are those of {found}",
            _HINTS.get(found, _RENAME) if expected in (PLAIN, PARQUET) else _RENAME,
        )


def not_read(name: str, kind: str) -> ShardError:
    """What to raise for a file of a kind that the format does not read."""
    return ShardError("wrong-format", f"{name}: {kind} is not read by this format", _HINTS[kind])
