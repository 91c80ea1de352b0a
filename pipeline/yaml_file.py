"""YAML files beside the manifest (rubrics, say), read with the same care and the same errors."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from pipeline.errors import ManifestError
from pipeline.manifest.located import build, show
from pipeline.manifest.yaml_tree import MapNode, SourceText, read_tree

M = TypeVar("M", bound=BaseModel)
MAX_BYTES = 2**20


def read_yaml(path: Path, model: type[M], what: str, shown: str = "") -> M:
    """The file at ``path`` as a ``model``; ``what`` says what it is ("the rubric") and ``shown``
    how messages name the file.

    Raises ManifestError with every problem, each with its line and column; OSError when the file
    cannot be read.
    """
    name = shown or str(path)
    with path.open("rb") as file:
        raw = file.read(MAX_BYTES + 1)
    blank = SourceText(name, "").place(0)
    if len(raw) > MAX_BYTES:
        message = f"larger than {MAX_BYTES:,} bytes"
        raise ManifestError([blank.problem("too-large", message, f"is this {what}?")])
    try:
        source = SourceText(name, raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        message = f"not UTF-8 at byte {error.start}"
        raise ManifestError([blank.problem("not-utf8", message, "save it as UTF-8")]) from None
    tree, problems = read_tree(source)
    if not isinstance(tree, MapNode):
        if not problems:
            got = "nothing" if tree is None else show(tree)
            place = tree.place if tree is not None else blank
            problems = [place.problem("wrong-type", f"{what} is a mapping, not {got}")]
        raise ManifestError(problems)
    made, found = build(model, tree, tree.place, what)
    if made is None or problems or found:
        raise ManifestError(sorted([*problems, *found], key=lambda p: (p.line, p.column)))
    return made
