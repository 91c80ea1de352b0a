"""Files of text that a machine with Python holds: the interpreter's own library, installed
packages, and the system's documentation.

Nothing is imported or run. What users see of a path begins with the name of a root
(``stdlib/json/decoder.py``), so the same installation gives the same documents anywhere.
"""

from __future__ import annotations

import csv
import os
import re
import stat
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.sources.input_files import InputFile

Kind = Literal["source", "docstrings", "descriptions", "licenses", "manuals"]

STANDARD_LIBRARY = "standard-library"
REQUIREMENTS = "requirements"
ALL = "all"

# The name at the beginning of a requirement (PEP 508).
_DISTRIBUTION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A requirement in a distribution's metadata; lines that begin with a space continue the one before.
_REQUIRES = re.compile(r"^Requires-Dist:[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_SKIPPED_FOLDERS = {"__pycache__", "site-packages", "dist-packages"}
# An editable installation of ours changes with every build.
_OURS = re.compile(r"(__editable__|winnow-[^/]*\.(dist|egg)-info)")
_TEXT = r"(?![^/]*\.(py|pyc|so|html|css|js|png|svg|json|xml|pdf|ps|xz|bz2|zip)$)"
_LICENSE = rf"{_TEXT}(?i:LICEN[CS]E|COPYING|NOTICE|copyright)[^/]*"
_NOTES = (
    rf"{_TEXT}(README|NEWS|CHANGES?|changelog|AUTHORS|TODO|THANKS|FAQ|HACKING|BUGS|INSTALL)[^/]*"
)
_PYTHON = r".*\.py"
_PROSE = rf"(.*/)?(?!{_LICENSE})(?!(requirements|top_level|entry_points)\b)[^/]*\.(txt|md|rst)"
# The language reference, one string for each topic of ``help()``.
TOPICS = "pydoc_data/topics.py"
# Where each kind is found, and what the names of its files look like below that root.
_PATTERNS: dict[Kind, dict[str, str]] = {
    "source": {"stdlib": _PYTHON, "site": _PYTHON},
    "docstrings": {"stdlib": _PYTHON, "site": _PYTHON},
    "descriptions": {"site": r".*\.(dist|egg)-info/(METADATA|PKG-INFO)"},
    "licenses": dict.fromkeys(("stdlib", "site", "doc"), rf"(.*/)?{_LICENSE}"),
    "manuals": {
        "stdlib": rf"{re.escape(TOPICS)}|(?!test/){_PROSE}",
        "site": rf"(?!.*(/tests?/|-info/)){_PROSE}",
        "man": r"(.*/)?man\d[^/]*/[^/]*",
        "doc": rf"(.*/)?(?!{_LICENSE})({_NOTES}|[^/]*\.(txt|md|rst)(\.gz)?)",
    },
}

# Bytes of text per byte of file, measured on Debian 12 with Python 3.11: docstrings are an eighth
# of the code, and gzip packs manuals and changelogs to about a third.
_DOCSTRING_YIELD = 0.12
_GZIP_YIELD = 3.0


class Entry(NamedTuple):
    """A file found: what users see of its path, the path, and its size in bytes, which for files of
    distributions is the recorded one."""

    name: str
    path: str
    size: int


def missing_packages(packages: Sequence[str]) -> list[str]:
    """The distributions among ``packages`` that are not installed here."""
    return [name for name in _distributions(packages) if not _is_installed(name)]


def find(kind: Kind, packages: str | Sequence[str]) -> list[Entry]:
    """The files of one kind on this machine, sorted by name, with those that a distribution
    recorded and that were deleted since; links are not followed.

    ``packages`` is ``standard-library``; ``requirements`` (that, and what winnow requires, directly
    or not); ``all`` (installed packages and the system's documentation too); or a list of names of
    distributions, of which ``standard-library`` may be one. What a list or ``requirements`` finds
    depends on these distributions alone, and not on what else is installed.
    """
    patterns = {root: re.compile(pattern) for root, pattern in _PATTERNS[kind].items()}
    paths = sysconfig.get_paths()
    roots: list[tuple[str, str]] = []
    if packages in (ALL, REQUIREMENTS) or STANDARD_LIBRARY in packages:
        roots.append(("stdlib", paths["stdlib"]))
    if packages == ALL:
        roots += [("site", path) for path in sorted({paths["purelib"], paths["platlib"]})]
        roots += [("doc", "/usr/share/doc"), ("man", "/usr/share/man")]
    found: list[Entry] = []
    for name, root in roots:
        if name in patterns and os.path.isdir(root):
            found += _walk(name, root, "", patterns[name])
    if "site" in patterns:
        for name in _distributions(packages):
            found += _recorded(name, patterns["site"])
    return sorted({entry.name: entry for entry in found if _is_utf8(entry.name)}.values())


def _distributions(packages: str | Sequence[str]) -> Sequence[str]:
    if packages == REQUIREMENTS:
        return required("winnow")
    if isinstance(packages, str):
        return []
    return [name for name in packages if name != STANDARD_LIBRARY]


@lru_cache(maxsize=64)
def required(name: str) -> tuple[str, ...]:
    """The distributions that ``name`` requires on every machine, directly or not.

    Those with a condition (a platform, an extra) are left out: with them the list would differ
    between machines, as torch's does by the GPU that it is built for.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for line in _requires(waiting.pop()):
            specification, _, condition = line.partition(";")
            match = _DISTRIBUTION.match(specification)
            if match and not condition and (key := _normalised(match[0])) not in found:
                found.add(key)
                waiting.append(key)
    return tuple(sorted(found))


def _requires(name: str) -> list[str]:
    """What a distribution requires, a line each.

    importlib.metadata parses the whole description to say so; these lines are in the header.
    """
    installed = distribution(name)
    metadata = installed.read_text("METADATA")
    if metadata is None:  # an older form of installation
        return installed.requires or []
    header, _, _ = metadata.partition("\n\n")
    return _REQUIRES.findall(header)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


@lru_cache(maxsize=4096)
def _recorded(name: str, pattern: re.Pattern[str]) -> tuple[Entry, ...]:
    """The files that a distribution says it has installed, with the sizes it says they have.

    There are tens of thousands, of which few are chosen, so ``choose`` looks which are there.
    """
    root, rows = _record(name)
    found = []
    for below, *rest in rows:
        if pattern.fullmatch(below) and not below.startswith("../"):
            path = f"{root}/{below}"
            size = rest[-1] if rest else ""
            found.append(Entry(f"site/{below}", path, int(size) if size.isdigit() else _size(path)))
    return tuple(found)


@lru_cache(maxsize=1024)
def _record(name: str) -> tuple[str, list[list[str]]]:
    """The folder that a distribution is installed in, and its files: path, digest and size.

    Its record is read as text: importlib.metadata makes a path of each of 40,000 files, which
    takes seconds, and every source asks again.
    """
    installed = distribution(name)
    root = str(installed.locate_file(""))
    text = installed.read_text("RECORD")
    if text is None:  # an older form of installation
        return root, [[file.as_posix()] for file in installed.files or ()]
    return root, [row for row in csv.reader(text.splitlines()) if row]


def _size(path: str) -> int:
    """The size of a file that none is recorded of; 0 where there is no file."""
    try:
        return os.lstat(path).st_size
    except FileNotFoundError:
        return 0


def _walk(root_name: str, folder: str, below: str, pattern: re.Pattern[str]) -> Iterator[Entry]:
    # Tens of thousands of files, at every plan: strings and one system call each.
    with os.scandir(folder) as entries:
        for entry in entries:
            name = below + entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in _SKIPPED_FOLDERS:
                    yield from _walk(root_name, entry.path, name + "/", pattern)
            elif (
                pattern.fullmatch(name)
                and not _OURS.match(name)
                and entry.is_file(follow_symlinks=False)
            ):
                size = entry.stat(follow_symlinks=False).st_size
                yield Entry(f"{root_name}/{name}", entry.path, size)


def _is_utf8(name: str) -> bool:
    # Names of other bytes come as lone surrogates, which no output can hold.
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def choose(files: Iterable[Entry], kind: Kind, max_bytes: int) -> list[tuple[InputFile, int]]:
    """Files, with the bytes of text expected of each, that add up to at most ``max_bytes``.

    Taken in the order of the hashes of their names, so what is chosen depends on names and sizes
    alone and spreads over all packages. Sorted by name.
    """
    chosen, total = [], 0
    for file in sorted(files, key=lambda file: _rank(file.name)):
        expected = _expected_bytes(file, kind)
        if expected and total + expected <= max_bytes and _is_file(file.path):
            chosen.append((InputFile(Path(file.path), file.name), expected))
            total += expected
    return sorted(chosen, key=lambda pair: pair[0].name)


@lru_cache(maxsize=100_000)
def _rank(name: str) -> bytes:
    return sha256(name.encode()).digest()


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except FileNotFoundError:  # recorded, and deleted since
        return False


def _expected_bytes(file: Entry, kind: Kind) -> int:
    share = _DOCSTRING_YIELD if kind == "docstrings" else 1.0
    if file.path.endswith(".gz"):
        share *= _GZIP_YIELD
    return round(file.size * share)
