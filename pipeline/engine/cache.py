"""What winnow notes in the store to save time: digests of files and how long stages took.

One SQLite file. Losing it costs time and nothing else, so it is made anew when it cannot be read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

from pipeline.engine.fingerprint import code_digest, sha256_file
from pipeline.sources.source import FilePart, Shard

NAME = "cache.sqlite"
_TABLES = """
CREATE TABLE IF NOT EXISTS digests (
    kind TEXT, path TEXT, size INTEGER, modified INTEGER, inode INTEGER, digest TEXT,
    PRIMARY KEY (kind, path)
);
CREATE TABLE IF NOT EXISTS inputs (part TEXT PRIMARY KEY, token TEXT, sha256 TEXT);
CREATE TABLE IF NOT EXISTS timings (stage TEXT PRIMARY KEY, seconds REAL, effort REAL);
"""
FILE, CODE = "sha256", "code"


class Cache:
    """Digests by (path, size, time, inode), and timings by stage. ``save`` writes what is new."""

    def __init__(self, store: Path | None = None) -> None:
        self._path = None if store is None else store / NAME
        self._digests: dict[tuple[str, str], tuple[int, int, int, str]] = {}
        self._timings: dict[str, tuple[float, float]] = {}
        self._inputs: dict[str, tuple[str, str]] = {}
        self._new: set[tuple[str, str]] = set()
        self._new_inputs: set[str] = set()
        if self._path is not None and self._path.exists():
            with suppress(sqlite3.Error), closing(_connect(self._path, read_only=True)) as db:
                self._digests = {
                    (kind, path): (size, modified, inode, found)
                    for kind, path, size, modified, inode, found in db.execute(
                        "SELECT * FROM digests"
                    )
                }
                self._timings = {
                    stage: (seconds, effort)
                    for stage, seconds, effort in db.execute("SELECT * FROM timings")
                }
                self._inputs = {
                    part: (token, found)
                    for part, token, found in db.execute("SELECT * FROM inputs")
                }

    def digest(self, path: Path) -> str:
        """The file's sha256; reads the file only when it is not as remembered."""
        return self._digest(FILE, path, sha256_file)

    def code(self, path: Path) -> str:
        """What the Python file does, as a digest."""
        return self._digest(CODE, path, lambda p: code_digest(p.read_text(encoding="utf-8")))

    def remember(self, path: Path, sha256: str) -> str:
        """Note the digest of a file that was just written or read."""
        return self._note(FILE, path, sha256)

    def seen(self, shard: Shard) -> Shard:
        """The shard with the digests that its parts had when they were read before, of those whose
        files are of the same version still."""
        if not self._inputs:
            return shard
        return replace(shard, parts=tuple(map(self._seen, shard.parts)))

    def _seen(self, part: FilePart) -> FilePart:
        token, found = self._inputs.get(_name(part), ("", ""))
        return replace(part, sha256=found) if token == part.file.token else part

    def saw(self, shard: Shard, inputs: Mapping[str, str]) -> None:
        """Note the digests, by label, of parts that were read."""
        for part in shard.parts:
            if part.label in inputs:
                self._inputs[_name(part)] = part.file.token, inputs[part.label]
                self._new_inputs.add(_name(part))

    def seconds(self, stage: str, effort: float) -> float | None:
        """How long a stage is going to take by how long it took; None when it never ran."""
        if stage not in self._timings:
            return None
        seconds, before = self._timings[stage]
        return seconds * effort / before if before else seconds

    def took(self, stage: str, seconds: float, effort: float) -> None:
        """Note how long a stage took, and how much there was to do."""
        self._timings[stage] = (seconds, effort)

    def save(self) -> None:
        """Write what was noted. Another run may write at the same time; both stand."""
        if self._path is None:
            return
        try:
            self._write()
        except sqlite3.DatabaseError:
            self._path.unlink(missing_ok=True)
            self._write()

    def _write(self) -> None:
        assert self._path is not None
        with closing(_connect(self._path)) as db, db:
            db.executescript(_TABLES)
            rows = [(*name, *self._digests[name]) for name in sorted(self._new)]
            db.executemany("INSERT OR REPLACE INTO digests VALUES (?, ?, ?, ?, ?, ?)", rows)
            inputs = [(name, *self._inputs[name]) for name in sorted(self._new_inputs)]
            db.executemany("INSERT OR REPLACE INTO inputs VALUES (?, ?, ?)", inputs)
            timings = [(stage, *timing) for stage, timing in self._timings.items()]
            db.executemany("INSERT OR REPLACE INTO timings VALUES (?, ?, ?)", timings)
        self._new.clear()
        self._new_inputs.clear()

    def _digest(self, kind: str, path: Path, read: Callable[[Path], str]) -> str:
        known = self._digests.get((kind, str(path)))
        if known is None or known[:3] != _identity(path):
            return self._note(kind, path, read(path))
        return known[3]

    def _note(self, kind: str, path: Path, found: str) -> str:
        self._digests[kind, str(path)] = (*_identity(path), found)
        self._new.add((kind, str(path)))
        return found

    def forget(self, paths: list[Path]) -> None:
        """Have these files read again next time, even when size and time are the same."""
        for path in paths:
            self._digests.pop((FILE, str(path)), None)
        if self._path is not None and self._path.exists():
            with closing(_connect(self._path)) as db, db:
                db.executemany(
                    "DELETE FROM digests WHERE kind = ? AND path = ?",
                    [(FILE, str(path)) for path in paths],
                )


def _name(part: FilePart) -> str:
    return f"{part.file.path} {part.start}-{'' if part.end is None else part.end}"


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    if read_only:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)
    return sqlite3.connect(path, timeout=30)


def _identity(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns, stat.st_ino
