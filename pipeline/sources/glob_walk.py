"""Expands glob patterns as ``glob.glob(recursive=True)`` does, and always ends.

``**`` visits every folder once, however many links lead to it, under the path that has no link
where there is one; and it gives up after a number of folders instead of walking a whole disk.
"""

from __future__ import annotations

import glob
import os
import re
from collections import deque
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path

# A web crawl in a folder a day for a century has fewer. On a local disk this takes seconds.
MAX_FOLDERS = 50_000


class TooManyFolders(Exception):
    """A pattern reaches into more than ``limit`` folders."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


def expand(folder: Path, pattern: str) -> Iterator[str]:
    """Paths that match, as the pattern spells them: relative to ``folder`` unless absolute.

    Raises TooManyFolders, and PermissionError for a folder that may not be opened: what is in it
    would be missing without a word.
    """
    if os.path.basename(pattern) in ("", os.curdir):
        return  # only folders are called so, and Path would take the end off
    path = Path(pattern)
    yield from _Walk(folder).expand(path.anchor, path.relative_to(path.anchor).parts)


class _Walk:
    """One pattern's expansion; counts the folders that were opened."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = 0
        self._last: tuple[str, list[os.DirEntry[str]]] | None = None

    def expand(self, base: str, parts: tuple[str, ...]) -> Iterator[str]:
        if not parts:
            yield base
            return
        part, rest = parts[0], parts[1:]
        if part == "**":
            rest = rest[1:] if rest[:1] == ("**",) else rest
            for below in self._descend(base):
                if rest:
                    yield from self.expand(below, rest)
                else:
                    yield from (os.path.join(below, name) for name in self._names(below, _VISIBLE))
            return
        if not glob.has_magic(part):
            path = os.path.join(base, part)
            if os.path.lexists(self._folder / path):
                yield from self.expand(path, rest)
            return
        for name in self._names(base, _matcher(part), folders=bool(rest)):
            yield from self.expand(os.path.join(base, name), rest)

    def _descend(self, base: str) -> Iterator[str]:
        """``base`` and the folders below it, each once; links wait until all else is visited."""
        visited: set[tuple[int, int]] = set()
        waiting, links = deque([base]), deque[str]()
        while waiting or links:
            folder = waiting.popleft() if waiting else links.popleft()
            try:
                stat = os.stat(self._folder / folder)
            except OSError:
                continue  # a link to nothing or to itself is no folder
            identity = (stat.st_dev, stat.st_ino)
            if identity in visited:
                continue
            visited.add(identity)
            yield folder
            for entry in self._entries(folder):
                if entry.name.startswith(".") or not _is_folder(entry):
                    continue
                below = os.path.join(folder, entry.name)
                (links if entry.is_symlink() else waiting).append(below)

    def _names(self, base: str, matches: re.Pattern[str], folders: bool = False) -> Iterator[str]:
        for entry in self._entries(base):
            if matches.match(entry.name) and (not folders or _is_folder(entry)):
                yield entry.name

    def _entries(self, base: str) -> list[os.DirEntry[str]]:
        # ``**`` looks for matches in a folder and then for the folders in it.
        if self._last is not None and self._last[0] == base:
            return self._last[1]
        path = self._folder / base
        self._opened += 1
        if self._opened > MAX_FOLDERS:
            raise TooManyFolders(MAX_FOLDERS)
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            found = []
        self._last = base, found
        return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


_VISIBLE = re.compile(r"(?!\.)")


def _matcher(part: str) -> re.Pattern[str]:
    hidden = "" if part.startswith(".") else r"(?!\.)"
    return re.compile(hidden + translate(part))
