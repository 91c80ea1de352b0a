"""Extractors that hang, raise or crash lose the document that made them, and no other."""

from __future__ import annotations

import os
import signal
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from datatrove.pipeline.extractors.base import BaseExtractor

from filters.block_extraction import Extraction
from filters.block_runs import BlockRun, OnError
from pipeline.documents import Docs
from pipeline.engine.processes import process_birth
from pipeline.errors import ShardError
from winnow.testing import documents


class Odd(BaseExtractor):
    """Does what its text says."""

    def __init__(self, timeout: float = 20) -> None:
        super().__init__(timeout)

    def extract(self, text: str) -> Any:
        if text == "hang":
            time.sleep(600)
        elif text == "raise":
            raise ValueError("of this text")
        elif text == "import":
            import no_such_module  # noqa: F401
        elif text == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        return {"none": None, "number": 5, "pid": str(os.getpid())}.get(text, text.upper())


@pytest.fixture
def odd() -> Extraction:
    return Extraction(Odd())


def test_text_and_the_lack_of_it_are_told_apart(odd: Extraction) -> None:
    assert odd.extract("a text") == ("A TEXT", "", "")
    assert odd.extract("") == ("", "empty", "")
    assert odd.extract("none") == ("", "empty", "")
    assert odd.extract("raise") == ("", "error", "ValueError: of this text")


def test_what_raises_costs_no_process(odd: Extraction) -> None:
    (before, *_) = odd.extract("pid")
    odd.extract("raise")
    assert odd.extract("pid")[0] == before


def test_a_crash_is_seen_before_the_time_is_out(odd: Extraction) -> None:
    started = time.monotonic()
    text, reason, _ = odd.extract("crash")
    assert (text, reason) == ("", "broken_process")
    assert time.monotonic() - started < 10
    assert odd.extract("next") == ("NEXT", "", "")


def test_a_process_that_died_between_documents_costs_none(odd: Extraction) -> None:
    for text in ("a", "b", "c"):
        os.kill(int(odd.extract("pid")[0]), signal.SIGKILL)
        assert odd.extract(text) == (text.upper(), "", "")


def test_a_time_out_ends_the_process_and_the_next_document_has_a_new_one() -> None:
    extraction = Extraction(Odd(timeout=0.5))
    (before, *_) = extraction.extract("pid")
    assert extraction.extract("hang") == ("", "timeout", "more than 0.5 s")
    (after, *_) = extraction.extract("pid")
    assert after not in ("", before)
    assert not Path(f"/proc/{before}").exists()


def test_what_is_no_text_fails_the_shard(odd: Extraction) -> None:
    with pytest.raises(ShardError, match=r"extract\(\) of Odd gave int"):
        odd.extract("number")


def test_a_package_that_is_not_there_fails_the_shard(odd: Extraction) -> None:
    with pytest.raises(ShardError, match="Odd cannot work: ModuleNotFoundError") as caught:
        odd.extract("import")
    assert caught.value.code == "missing-package"


def _child(extraction: Extraction, pipe: Any) -> None:
    pipe.send(extraction.extract("pid")[0])


def test_a_forked_process_has_an_extractor_of_its_own(odd: Extraction) -> None:
    (mine, *_) = odd.extract("pid")
    ours, theirs = get_context("fork").Pipe()
    process = get_context("fork").Process(target=_child, args=(odd, theirs))
    process.start()
    assert ours.recv() != mine
    process.join()
    assert odd.extract("pid")[0] == mine


def _hang(extraction: Extraction, pipe: Any) -> None:
    pipe.send(extraction.extract("pid")[0])
    extraction.extract("hang")


def test_the_process_of_an_extractor_goes_with_ours(odd: Extraction) -> None:
    ours, theirs = get_context("fork").Pipe()
    process = get_context("fork").Process(target=_hang, args=(odd, theirs))
    process.start()
    pid = int(ours.recv())
    assert process_birth(pid) is not None
    process.kill()
    process.join()
    deadline = time.monotonic() + 20
    while process_birth(pid) is not None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process_birth(pid) is None


TEXTS = ["one", "raise", "hang", "crash", "none", "two"]


def outcomes(on_error: OnError | None = None) -> list[tuple[str, str]]:
    docs = Docs(documents(TEXTS))
    return [(o.text, o.reason) for o in BlockRun(Odd(timeout=0.5), on_error).outcomes(docs)]


def test_every_document_stays_or_has_a_reason() -> None:
    assert outcomes() == [
        ("ONE", ""),
        ("raise", "error"),
        ("hang", "timeout"),
        ("crash", "broken_process"),
        ("none", "empty"),
        ("TWO", ""),
    ]


def test_the_shard_fails_instead_where_that_is_asked_for() -> None:
    with pytest.raises(ShardError, match=r"error .ValueError: of this text., on document .d1."):
        outcomes("fail")
