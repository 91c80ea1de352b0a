"""Which files a source reads: the manifest's patterns, and what they match."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pydantic import JsonValue

from pipeline.errors import Problem, ShardError
from pipeline.sources.glob_walk import TooManyFolders, expand
from pipeline.sources.source import InputFile
from pipeline.sources.storage import is_url, local_version


@dataclass
class Listing:
    """Files sorted by name, and what is wrong with the patterns.

    ``Problem.path`` is the number of the pattern among all of them.
    """

    files: list[InputFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def list_files(
    folder: Path,
    patterns: Sequence[str],
    follow_links: bool = False,
    storage_options: Mapping[str, JsonValue] | None = None,
) -> Listing:
    """The regular files that glob ``patterns`` match, each once, sorted by name.

    Patterns are relative to ``folder``, or absolute; ``**`` descends. Hidden files need a pattern
    that says so. With ``storage_options``, which are fsspec's, patterns may be URLs, and problems
    are those of the store as well. Problems are ``no-files``, ``home-path``, ``not-a-file``,
    ``link-outside``, ``bad-file-name`` and ``too-many-folders``.
    """
    found: dict[str, InputFile] = {}
    listing = Listing()
    for number, pattern in enumerate(patterns):
        matched = (
            _objects(pattern, storage_options)
            if storage_options is not None and is_url(pattern)
            else _match(folder, pattern, follow_links)
        )
        for item in matched:
            if isinstance(item, _Wrong):
                problem = Problem((number,), item.code, item.message, item.hint)
                listing.problems.append(problem)
                continue
            real, file = item
            if real not in found or file.name < found[real].name:
                found[real] = file
    listing.files = sorted(found.values(), key=lambda file: file.name)
    return listing


@dataclass(frozen=True)
class _Wrong:
    code: str
    message: str
    hint: str


def _objects(
    pattern: str, options: Mapping[str, JsonValue]
) -> Iterator[tuple[str, InputFile] | _Wrong]:
    from pipeline.sources.object_store import ObjectStore

    try:
        files = ObjectStore(options).matching(pattern)
    except ShardError as error:
        yield _Wrong(error.code, error.message, error.hint)
        return
    for file in files:
        yield file.path, file
    if not files:
        message = f"no object matches {pattern!r}"
        yield _Wrong("no-files", message, "check the bucket and the names in it")


def _match(
    folder: Path, pattern: str, follow_links: bool
) -> Iterator[tuple[str, InputFile] | _Wrong]:
    """What a pattern matches: the path that tells a file from others, and the file."""
    if pattern.startswith("~"):
        yield _Wrong(
            "home-path",
            f"{pattern!r} means another folder for every user",
            "write a path relative to the manifest, or an absolute one",
        )
        return
    literal = os.path.lexists(folder / pattern)
    fixed = _fixed_part(pattern, literal)
    if fixed == os.sep and "**" in Path(pattern).parts:
        yield _too_wide(pattern, "the whole file system")
        return
    try:
        names = [pattern] if literal else list(expand(folder, pattern))
    except TooManyFolders as error:
        yield _too_wide(pattern, f"more than {error.limit:,} folders")
        return
    except PermissionError as error:
        yield _Wrong(
            "unreadable-folder",
            f"{pattern!r} needs the folder {error.filename!r}, which may not be opened",
            "change its permissions, or write patterns that leave it out",
        )
        return
    root, base = os.path.join(os.path.realpath(folder / fixed), ""), folder.absolute()
    look = _Look(str(base), fixed, "" if follow_links else root)
    empty = True
    for name in sorted(os.path.normpath(name) for name in names):
        found = look.at(name)
        if found is not None:
            empty = False
            yield found
    if empty:
        yield _Wrong(
            "no-files",
            f"no file matches {pattern!r}",
            f"patterns are relative to the manifest's folder{_folder_hint(folder, pattern)}",
        )


def _too_wide(pattern: str, what: str) -> _Wrong:
    return _Wrong(
        "too-many-folders",
        f"{pattern!r} reaches into {what}",
        "write the folder that the files are in before the first wildcard",
    )


class _Look:
    """Looks at what a pattern matches: one system call for a file, and the folders of a hundred
    thousand files, which are fewer, resolved once each. Files have to be below ``root``."""

    def __init__(self, base: str, fixed: str, root: str) -> None:
        self._base = base
        self._fixed = fixed
        self._root = root
        self._resolved = lru_cache(os.path.realpath)

    def at(self, name: str) -> tuple[str, InputFile] | _Wrong | None:
        """The file at a path as the pattern spells it; None for a folder."""
        path = name if name.startswith(os.sep) else f"{self._base}/{name}"
        found, real = _stat(path)
        if found is not None and stat.S_ISDIR(found.st_mode):
            return None
        if not _is_utf8(name):
            shown = os.fsencode(name).decode("utf-8", "backslashreplace")
            message = f"the name of {shown} is not UTF-8"
            return _Wrong("bad-file-name", message, "rename the file, or its folder")
        if not real:
            parent, last = os.path.split(path)
            real = f"{self._resolved(parent)}/{last}"
        if not real.startswith(self._root):
            return _Wrong(
                "link-outside",
                f"{name} is a link out of {self._fixed!r}",
                "name the file itself in paths, or set follow_links: true",
            )
        if found is None or not stat.S_ISREG(found.st_mode):
            message = f"{name} is no regular file, or a link to nothing"
            return _Wrong("not-a-file", message, "take it out of paths")
        return real, InputFile(path, name, *local_version(found))


def _stat(path: str) -> tuple[os.stat_result | None, str]:
    """What is at a path, None for a link to nothing or to itself; and where a link leads."""
    try:
        found = os.lstat(path)
        if not stat.S_ISLNK(found.st_mode):
            return found, ""
        return os.stat(path), os.path.realpath(path)
    except OSError:
        return None, os.path.realpath(path)


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder_hint(folder: Path, pattern: str) -> str:
    return f"; it is a folder, write {pattern}/*" if (folder / pattern).is_dir() else ""


def _fixed_part(pattern: str, literal: bool) -> str:
    """The folder that a pattern names before its first wildcard."""
    parts = Path(pattern).parts
    wild = (n for n, part in enumerate(parts) if glob.has_magic(part) and not literal)
    return str(Path(*parts[: next(wild, len(parts) - 1)]))
