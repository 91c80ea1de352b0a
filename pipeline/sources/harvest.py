"""Text that any machine with Python holds: its own library, packages, licences and manuals.

Files are read, never imported or run. What users see of a path begins with the name of a root
(``stdlib/json/decoder.py``), so the same installation gives the same documents anywhere.
"""

from __future__ import annotations

import ast
import email
import io
import os
import re
import sysconfig
import tokenize
import warnings
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from pipeline.sources.batches import Document, RowError, decode_utf8
from pipeline.sources.file_lists import Found
from pipeline.sources.roff import plain_text

Kind = Literal["source", "docstrings", "descriptions", "licenses", "manuals"]
Packages = Literal["standard-library", "all"]

_SKIPPED_FOLDERS = {"__pycache__", "site-packages", "dist-packages"}
# An editable installation of ours changes with every build.
_OURS = re.compile(r"(__editable__|winnow-[^/]*\.(dist|egg)-info)")
_TEXT = r"(?![^/]*\.(py|pyc|so|html|css|js|png|svg|json|xml|pdf|ps|xz|bz2|zip)$)"
_LICENSE = rf"{_TEXT}(?i:LICEN[CS]E|COPYING|NOTICE|copyright)[^/]*"
_NOTES = (
    rf"{_TEXT}(README|NEWS|CHANGES?|changelog|AUTHORS|TODO|THANKS|FAQ|HACKING|BUGS|INSTALL)[^/]*"
)
_PYTHON = r".*\.py"
# Where each kind is found, and what the names of its files look like below that root.
_PATTERNS: dict[Kind, dict[str, str]] = {
    "source": {"stdlib": _PYTHON, "site": _PYTHON},
    "docstrings": {"stdlib": _PYTHON, "site": _PYTHON},
    "descriptions": {"site": r".*\.(dist|egg)-info/(METADATA|PKG-INFO)"},
    "licenses": dict.fromkeys(("stdlib", "site", "doc"), rf"(.*/)?{_LICENSE}"),
    "manuals": {
        "man": r"(.*/)?man\d[^/]*/[^/]*",
        "doc": rf"(.*/)?(?!{_LICENSE})({_NOTES}|[^/]*\.(txt|md|rst)(\.gz)?)",
    },
}

# Bytes of text per byte of file, measured on Debian 12 with Python 3.11: docstrings are an eighth
# of the code, and gzip packs manuals and changelogs to about a third.
_DOCSTRING_YIELD = 0.12
_GZIP_YIELD = 3.0


class Unusable(NamedTuple):
    """Bytes that are no document, and why; ``size`` is that of the whole where ``raw`` is cut."""

    error: RowError
    raw: bytes
    size: int | None = None


class Entry(NamedTuple):
    """A file found: what users see of its path, the path, and its size in bytes."""

    name: str
    path: str
    size: int


def find(kind: Kind, packages: Packages) -> list[Entry]:
    """The files of one kind on this machine, sorted by name; links are not followed."""
    paths = sysconfig.get_paths()
    roots = [("stdlib", paths["stdlib"])]
    if packages == "all":
        roots += [("site", path) for path in sorted({paths["purelib"], paths["platlib"]})]
        roots += [("doc", "/usr/share/doc"), ("man", "/usr/share/man")]
    found: list[Entry] = []
    for name, root in roots:
        if name in _PATTERNS[kind] and os.path.isdir(root):
            found += _walk(name, root, "", re.compile(_PATTERNS[kind][name]))
    return sorted(found)


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


def choose(files: list[Entry], kind: Kind, max_bytes: int) -> list[tuple[Found, int]]:
    """Files, with the bytes of text expected of each, that add up to at most ``max_bytes``.

    Taken in the order of the hashes of their names, so what is chosen depends on names and sizes
    alone and spreads over all packages. Sorted by name.
    """
    chosen, total = [], 0
    for file in sorted(files, key=lambda file: sha256(file.name.encode()).digest()):
        expected = _expected_bytes(file, kind)
        if expected and total + expected <= max_bytes:
            chosen.append((Found(Path(file.path), file.name), expected))
            total += expected
    return sorted(chosen, key=lambda pair: pair[0].name)


def _expected_bytes(file: Entry, kind: Kind) -> int:
    share = _DOCSTRING_YIELD if kind == "docstrings" else 1.0
    if file.path.endswith(".gz"):
        share *= _GZIP_YIELD
    return round(file.size * share)


def documents(kind: Kind, name: str, raw: bytes) -> Iterator[Document | Unusable]:
    """The documents in one file, and what cannot be one."""
    try:
        match kind:
            case "source":
                yield Document(python_text(raw))
            case "docstrings":
                yield from _docstrings(python_text(raw))
            case "descriptions":
                yield from _nonblank(_description(_plain_text(raw)))
            case "licenses":
                yield Document(_plain_text(raw))
            case "manuals":
                text = _plain_text(raw)
                yield from _nonblank(plain_text(text) if name.startswith("man/") else text)
    except RowError as error:
        yield Unusable(error, raw)


def _nonblank(text: str) -> Iterator[Document]:
    # A page that only points to another, and metadata without a description, are no documents.
    if text.strip():
        yield Document(text)


def _plain_text(raw: bytes) -> str:
    return decode_utf8(raw.removeprefix(b"\xef\xbb\xbf"))


def python_text(raw: bytes) -> str:
    """Python source as text, by its declared encoding (PEP 263), without a byte order mark.

    Raises RowError ``bad-encoding``, ``invalid-utf8`` or ``lone-surrogate``.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    except SyntaxError as error:
        decode_utf8(raw)
        raise RowError("bad-encoding", str(error)) from None
    if encoding.startswith("utf-8"):
        return _plain_text(raw)
    try:
        text = raw.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise RowError("bad-encoding", f"declared as {encoding}: {error}") from None
    return decode_utf8(text.encode("utf-8", "surrogatepass"))


def _docstrings(source: str) -> Iterator[Document | Unusable]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's code
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError("malformed-python", f"{type(error).__name__}: {error}"[:200]) from None
    for name, text in _documented(tree, ""):
        raw = text.encode("utf-8", "surrogatepass")
        try:
            metadata = f'{{"object":"{name}"}}' if name else None
            yield Document(decode_utf8(raw), metadata=metadata)
        except RowError as error:
            yield Unusable(error, raw)


def _documented(node: ast.AST, name: str) -> Iterator[tuple[str, str]]:
    """(qualified name, docstring) of ``node`` and of what is defined in it, in source order."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        if not isinstance(node, ast.Module):
            name = f"{name}.{node.name}" if name else node.name
        text = ast.get_docstring(node)
        if text is not None:
            yield name, text
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _documented(child, name)


def _description(text: str) -> str:
    """The long description in a distribution's metadata: the body, or the header before 2.1."""
    message = email.message_from_string(text)
    body = message.get_payload()
    if isinstance(body, str) and body.strip():
        return body
    header = str(message.get("Description", ""))
    return re.sub(r"(?m)^ {7}[ |]", "", header)
