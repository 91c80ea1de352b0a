"""Calls of a step's methods: whatever goes wrong inside is the step's fault, with its place."""

from __future__ import annotations

import errno
import inspect
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pipeline.documents import Docs
from pipeline.errors import ShardError, WinnowError
from pipeline.step import Step

T = TypeVar("T")
# How long documents are tried one by one to find the one that a step cannot take.
SEARCH_S = 10.0
# What the machine is short of, which is no fault of the step.
_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


def place_of(plugin: object) -> str:
    """The class of a step or executor, with the file and the line where it begins."""
    kind = type(plugin)
    try:
        file, line = inspect.getsourcefile(kind), inspect.getsourcelines(kind)[1]
    except (OSError, TypeError):  # made without a file, in a notebook for one
        return kind.__name__
    return f"{kind.__name__} ({_short(file or '')}:{line})"


def row_name(docs: Docs, row: int) -> str:
    """A document as messages name it: its id, with file and line."""
    found = {
        name: docs.column(name)[row].as_py()
        for name in ("id", "_source", "_offset")
        if name in docs.batch.schema.names
    }
    if "_source" not in found or "_offset" not in found:
        return f"row {row + 1} of the batch"
    return f"document {found.get('id')!r} ({found['_source']}:{found['_offset'] + 1})"


def call(step: Step, method: str, function: Callable[[Docs, int], T], docs: Docs) -> T:
    """``function(docs, 0)``, which calls a method of ``step``. The second argument is the row of
    the batch with which the documents begin.

    Raises ShardError naming the step and the first document at fault when it raises or exits.
    """

    def find() -> str:
        row = _first_fault(function, docs)
        return "" if row is None else f", on {row_name(docs, row)}"

    with step_faults(step, method, find):
        return function(docs, 0)


@contextmanager
def step_faults(step: Step, method: str, find: Callable[[], str] = lambda: "") -> Iterator[None]:
    """Whatever a step raises becomes a ShardError that names it, its file and line.

    ``find`` is asked for the document at fault, as the end of the message.
    """
    try:
        yield
    except (WinnowError, MemoryError):
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, OSError) and error.errno in _MACHINE:
            raise
        line = _line_in(step, error)
        message = f"{place_of(step)}: {method} raised {_describe(error)}{line}{find()}"
        hint = "mend the step; winnow.testing tries it on documents of your own"
        raise ShardError("step-failed", message, hint) from error


def _describe(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"SystemExit: it called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}"


def _line_in(step: Step, error: BaseException) -> str:
    """Where in the step's own file the error came through, or else where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    try:
        own = inspect.getsourcefile(type(step))
    except TypeError:
        own = None
    found = [frame for frame in frames if frame.filename == own] or frames[-1:]
    return f" at {_short(found[-1].filename)}:{found[-1].lineno}" if found else ""


def _first_fault(function: Callable[[Docs, int], Any], docs: Docs) -> int | None:
    """The first document that is a fault on its own; None when none is found in time."""
    deadline = time.monotonic() + SEARCH_S
    for row in range(len(docs)):
        if time.monotonic() > deadline:
            break
        try:
            function(Docs(docs.batch.slice(row, 1)), row)
        except (Exception, SystemExit):  # noqa: BLE001 - the fault that is looked for
            return row
    return None


def _short(file: str) -> str:
    """A path from the current directory where it lies below it."""
    path = Path(file)
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else file
