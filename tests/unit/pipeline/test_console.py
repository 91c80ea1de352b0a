from __future__ import annotations

import json
import os
import pty
import time
from io import StringIO
from pathlib import Path

import pytest

from pipeline.console import Console, Stopwatch
from pipeline.engine.worker import Failure

FAILURE = Failure("01-x", "k", "a\u202eb.jsonl", "bad-shard", "it is bad", "mend it")


def on_terminal(logs: Path | None, *, failing: bool = False) -> str:
    """What a person sees of a short run."""
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal, Console(logs, terminal) as console:
        console.stage_started("01-filter", 4, "new")
        console.stage_progress(2.5)
        if failing:
            console.failure(FAILURE)
        console.stage_ended("01-filter", "done", 1.5, "kept 3 of 4")
        terminal.flush()
    shown = b""
    try:
        while chunk := os.read(reader, 65536):
            shown += chunk
    except OSError:  # the other end of a terminal that was closed
        pass
    os.close(reader)
    return shown.decode()


def test_terminal_gets_bars_and_no_json() -> None:
    shown = on_terminal(None)
    assert "01-filter" in shown
    assert "kept 3 of 4" in shown
    assert '"event"' not in shown


def test_failure_on_a_terminal_has_its_hint_and_no_hidden_characters() -> None:
    shown = on_terminal(None, failing=True)
    assert "bad-shard it is bad" in shown
    assert "hint: mend it" in shown
    assert "\u202e" not in shown


def test_events_are_kept_in_the_logs_also_with_a_terminal(tmp_path: Path) -> None:
    on_terminal(tmp_path, failing=True)
    events = [json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert [event["event"] for event in events] == ["stage-started", "task-failed", "stage-ended"]
    assert events[1]["code"] == "bad-shard"
    assert all("T" in event["time"] for event in events)


def test_without_a_terminal_each_event_is_a_json_line() -> None:
    stream = StringIO()
    with Console(None, stream) as console:
        console.stage_started("01-filter", 4, "new")
        console.stage_progress(1)
        console.say("for people only")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["stage"] == "01-filter"


def test_stopwatch_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([5.0, 7.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    assert Stopwatch().seconds == 2.5
