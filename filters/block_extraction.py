"""Extractors of datatrove run in a process of their own, which a document may outlast or kill."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from winnow import ShardError, die_with_parent

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

    from datatrove.pipeline.extractors.base import BaseExtractor, ExtractorSandbox

# How long a process may take to start [s]. datatrove gives it no more than a document, and drops
# those that come while the extractor's libraries load.
START_S = 60.0

TIMEOUT, BROKEN, ERROR, EMPTY = "timeout", "broken_process", "error", "empty"


class ExtractionError(Exception):
    """What an extractor raised, in words that can cross from its process to ours."""


class MissingImport(ExtractionError):
    """An import that failed: a fault of the machine, whatever the document."""


class Extraction:
    """Runs an extractor on texts, in a process that is made anew after a time-out or a crash."""

    def __init__(self, block: BaseExtractor) -> None:
        self.block = block
        self._sandbox: ExtractorSandbox | None = None
        self._owner = 0

    def extract(self, text: str) -> tuple[str, str, str]:
        """The text, why there is none, and details of that; a reason of "" where there is one.

        A document with which the process ends is tried once more: something else may have ended it.
        Raises ShardError when no process starts, an import fails, or what comes is no text.
        """
        found = self._try(text)
        return self._try(text) if found[1] == BROKEN else found

    def _try(self, text: str) -> tuple[str, str, str]:
        sandbox = self._process()
        # Beforehand: that a machine cannot start a process is no fault of a document.
        sandbox._ensure_process(self._guarded)
        try:
            found = sandbox.process_document(text, self._guarded)
        except TimeoutError:
            return "", TIMEOUT, f"more than {self.block.timeout} s"
        except (EOFError, ConnectionError):  # read from, or written to, a process that is no more
            self._sandbox = None
            return "", BROKEN, "the process of the extractor ended"
        except MissingImport as error:
            message = f"{type(self.block).__name__} cannot work: {error}"
            raise ShardError("missing-package", message, "install what it imports") from error
        except ExtractionError as error:
            return "", ERROR, str(error)
        if not (found is None or isinstance(found, str)):
            message = f"extract() of {type(self.block).__name__} gave {type(found).__name__}"
            raise ShardError("block-result", message, "return a text, or None for no text")
        return (found, "", "") if found else ("", EMPTY, "")

    def _guarded(self, text: str) -> str | ExtractionError:
        """What the process runs: one that raised would end, and be waited for in vain."""
        try:
            found: str = self.block.extract(text)
        except Exception as error:  # noqa: BLE001 - raised again in our process
            kind = MissingImport if isinstance(error, ImportError) else ExtractionError
            return kind(f"{type(error).__name__}: {error}")
        return found

    def _process(self) -> ExtractorSandbox:
        """The sandbox of this process: one that it inherited in a fork has another's pipes."""
        if self._sandbox is None or self._owner != os.getpid():
            self._owner = os.getpid()
            self._sandbox = _sandbox_class()(self.block.timeout, warmup_text="")
        return self._sandbox


@cache
def _sandbox_class() -> type[ExtractorSandbox]:
    """datatrove's sandbox, with time of its own for the start of the process, and with an end of
    that process that is seen at once, where datatrove waits for the time-out."""
    from datatrove.pipeline.extractors.base import ExtractorSandbox

    # A fork has the libraries of the extractor, whatever way this process itself was started.
    fork = get_context("fork")

    class Sandbox(ExtractorSandbox):  # type: ignore[misc]
        process: ForkProcess | None

        def _worker(self, conn: Connection, extract: Callable[[str], Any]) -> None:
            # What our process does when it is asked to end is not for this one to do.
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            die_with_parent()
            super()._worker(conn, extract)

        def _ensure_process(self, extract: Callable[[str], Any]) -> None:
            if self.process is not None and self.process.is_alive():
                return
            if self.process is not None:
                self._cleanup_process()
            self.all_processes.clear()
            self.parent_conn, self.child_conn = fork.Pipe()
            process = fork.Process(
                target=self._worker, args=(self.child_conn, extract), daemon=True
            )
            process.start()
            self.process = process
            self.child_conn.close()
            if self.parent_conn.poll(START_S):
                with suppress(EOFError):  # it ended already, which its first document will find
                    self.parent_conn.recv()
                return
            self._cleanup_process()
            message = f"the process of an extractor did not start within {START_S:.0f} s"
            hint = "try it on an empty text, which it reads first"
            raise ShardError("no-extractor", message, hint)

    return Sandbox
