"""The documents in an installed file: Python source, docstrings, descriptions and manuals."""

from __future__ import annotations

import ast
import email
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.sources.fields import Document
from pipeline.sources.installed_files import TOPICS, Kind
from pipeline.sources.manual_pages import plain_text
from pipeline.sources.rows import RowError, decode_utf8


class Unusable(NamedTuple):
    """Bytes that are no document, and why; ``size`` is that of the whole where ``raw`` is cut."""

    error: RowError
    raw: bytes
    size: int | None = None


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
            case "manuals" if name == f"stdlib/{TOPICS}":
                yield from _topics(python_text(raw))
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


def _parsed(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's code
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError("malformed-python", f"{type(error).__name__}: {error}"[:200]) from None


def _topics(source: str) -> Iterator[Document]:
    """The topics of ``help()``: the values of the dictionary that the module consists of."""
    for node in ast.walk(_parsed(source)):
        if isinstance(node, ast.Dict):
            for value in node.values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield from _nonblank(value.value)


def _docstrings(source: str) -> Iterator[Document | Unusable]:
    for name, text in _documented(_parsed(source), ""):
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
