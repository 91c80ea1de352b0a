"""Which files a source reads: the manifest's patterns, and what they match."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import Problem
from pipeline.sources.glob_walk import TooManyFolders, expand


@dataclass(frozen=True)
class InputFile:
    """A file and what users see of it: its path as the manifest spells it."""

    path: Path
    name: str


@dataclass
class Listing:
    """Files sorted by name, and what is wrong with the patterns.

    ``Problem.path`` is the number of the pattern among all of them.
    """

    files: list[InputFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def list_files(folder: Path, patterns: Sequence[str], follow_links: bool = False) -> Listing:
    """The regular files that glob ``patterns`` match, each once, sorted by name.

    Patterns are relative to ``folder``, or absolute; ``**`` descends. Hidden files need a pattern
    that says so. Problems are ``no-files``, ``home-path``, ``not-a-file``, ``link-outside``,
    ``bad-file-name`` and ``too-many-folders``.
    """
    found: dict[Path, InputFile] = {}
    listing = Listing()
    for number, pattern in enumerate(patterns):
        for item in _match(folder, pattern, follow_links):
            if isinstance(item, _Wrong):
                problem = Problem((number,), item.code, item.message, item.hint)
                listing.problems.append(problem)
                continue
            real = _real(item.path)
            if real not in found or item.name < found[real].name:
                found[real] = item
    listing.files = sorted(found.values(), key=lambda file: file.name)
    return listing


@dataclass(frozen=True)
class _Wrong:
    code: str
    message: str
    hint: str


def _match(folder: Path, pattern: str, follow_links: bool) -> Iterator[InputFile | _Wrong]:
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
    root = _real(folder / fixed)
    empty = True
    for name in sorted(os.path.normpath(name) for name in names):
        path = folder / name
        if not path.is_dir():
            empty = False
            wrong = _wrong(path, name, root, fixed, follow_links)
            yield wrong or InputFile(path, name)
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


def _wrong(path: Path, name: str, root: Path, fixed: str, follow_links: bool) -> _Wrong | None:
    """What is wrong with a path that matches, if anything."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(name).decode("utf-8", "backslashreplace")
        return _Wrong(
            "bad-file-name", f"the name of {shown} is not UTF-8", "rename the file, or its folder"
        )
    if not follow_links and not _real(path).is_relative_to(root):
        return _Wrong(
            "link-outside",
            f"{name} is a link out of {fixed!r}",
            "name the file itself in paths, or set follow_links: true",
        )
    if not path.is_file():
        return _Wrong(
            "not-a-file", f"{name} is no regular file, or a link to nothing", "take it out of paths"
        )
    return None


def _folder_hint(folder: Path, pattern: str) -> str:
    return f"; it is a folder, write {pattern}/*" if (folder / pattern).is_dir() else ""


def _real(path: Path) -> Path:
    # Unlike Path.resolve, this does not raise on a link to itself.
    return Path(os.path.realpath(path))


def _fixed_part(pattern: str, literal: bool) -> str:
    """The folder that a pattern names before its first wildcard."""
    parts = Path(pattern).parts
    wild = (n for n, part in enumerate(parts) if glob.has_magic(part) and not literal)
    return str(Path(*parts[: next(wild, len(parts) - 1)]))
