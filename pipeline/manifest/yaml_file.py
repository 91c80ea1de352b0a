"""YAML files: the manifest, and others beside it (such as rubrics), read with the same care."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from pipeline.errors import ManifestError
from pipeline.manifest.validation import build
from pipeline.manifest.yaml_reader import MAX_BYTES, read_tree
from pipeline.manifest.yaml_tree import NOTHING, MapNode, SourceText, must_be, show

M = TypeVar("M", bound=BaseModel)


def read_text(path: Path, what: str, shown: str = "") -> SourceText:
    """The text of a YAML file; ``what`` is the noun for it in messages ("the rubric") and
    ``shown`` the name of the file in them.

    Raises ManifestError when it is too large or not UTF-8; OSError when it cannot be read.
    """
    name = shown or str(path)
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)

    def wrong(code: str, message: str, hint: str) -> ManifestError:
        return ManifestError([SourceText(name, "").place(0).problem(code, message, hint)])

    if len(raw) > MAX_BYTES:
        raise wrong("too-large", f"the file has more than {MAX_BYTES:,} bytes", f"is this {what}?")
    try:
        return SourceText(name, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        message = f"the file is not UTF-8 at byte {error.start}, line {line}"
        raise wrong("not-utf8", message, "save the file as UTF-8") from None


def read_yaml(path: Path, model: type[M], what: str, shown: str = "") -> M:
    """The file at ``path`` as a ``model``; ``what`` and ``shown`` as for ``read_text``.

    Raises ManifestError with every problem, each with its line and column; OSError when the file
    cannot be read.
    """
    source = read_text(path, what, shown)
    tree, problems = read_tree(source)
    if not isinstance(tree, MapNode):
        if not problems:
            got = NOTHING if tree is None else show(tree)
            place = tree.place if tree is not None else source.place(0)
            problems = [place.problem("wrong-type", must_be(what, "a mapping", got))]
        raise ManifestError(problems)
    made, found = build(model, tree, tree.place, what)
    if made is None or problems or found:
        raise ManifestError(sorted([*problems, *found], key=lambda p: (p.line, p.column)))
    return made
