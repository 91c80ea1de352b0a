from __future__ import annotations

import json
import os
import pty
import re
import time
from io import StringIO
from pathlib import Path

import pytest

from pipeline import console as console_module
from pipeline.commands.printing import print_failures
from pipeline.console import Console, RunningStage, Stopwatch, duration, rate
from pipeline.engine.results import FailureResult
from pipeline.engine.worker import Failure

FAILURE = Failure("01-x", "k", "a\u202eb.jsonl", "bad-shard", "it is bad", "mend it")


def on_terminal(logs: Path | None, *, failing: bool = False, stages: int = 1) -> str:
    """What a person sees of a short run."""
    reader, writer = pty.openpty()
    with os.fdopen(writer, "w") as terminal, Console(logs, terminal) as console:
        for number in range(1, stages + 1):
            console.stage_started(f"{number:02}-filter", 4, "new", number, stages)
            console.stage_progress(2.5)
            if failing:
                console.failure(FAILURE)
            console.stage_ended(f"{number:02}-filter", "done", 1.5, "kept 3 of 4")
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
        console.stage_started("01-filter", 4, "new", 1, 1)
        console.stage_progress(1)
        console.print("for people only")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line)["stage"] == "01-filter"
    assert (json.loads(line)["number"], json.loads(line)["stages"]) == (1, 1)


def lines_of(shown: str) -> list[str]:
    """What was drawn, line by line, without colours and movements of the cursor."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", re.sub(r"\x1b\[[0-9;]*m", "", shown))
    return [line for line in re.split(r"[\r\n]+", text) if line.strip()]


def test_a_small_terminal_shows_the_running_stage_with_its_tasks_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "62")
    monkeypatch.setenv("LINES", "14")
    lines = lines_of(on_terminal(None, stages=16))
    for number in range(1, 17):
        running = [
            line for line in lines if line.startswith(f"stage {number} of 16: {number:02}-filter ")
        ]
        assert any(re.search(r"2/4 [\d.]+/s \d:\d\d left", line) for line in running), number
        assert f"{number:02}-filter: done in 0:02; kept 3 of 4" in lines
    assert max(map(len, lines)) <= 62


def test_a_name_that_is_too_long_is_cut_and_the_figures_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "62")
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: True)
    with Console(None, stream) as console:
        console.stage_started("gopher_repetition+gopher_quality+c4_quality+url", 80, "new", 2, 16)
        console.stage_progress(0.5)
    assert "… " in stream.getvalue()
    assert " left" in stream.getvalue()


def test_a_failure_is_printed_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result = FailureResult(
        stage="01-x", key="k", task="a.jsonl", code="bad-shard", message="it is bad", hint="mend it"
    )
    print_failures([result])
    assert "bad-shard it is bad\n  hint: mend it" in capsys.readouterr().err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    print_failures([result])
    assert capsys.readouterr().err == ""


def test_a_pipe_gets_a_line_of_the_running_stage_every_few_seconds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seconds = 0.0
    monkeypatch.setattr(console_module.time, "monotonic", lambda: seconds)
    stream = StringIO()
    with Console(tmp_path, stream) as console:
        console.stage_started("01-filter", 8, "new", 1, 1)
        for step in range(240):  # a minute, four times a second
            seconds = step / 4
            console.stage_progress(step / 60)
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    progress = [event for event in events if event["event"] == "stage-progress"]
    assert [event["seconds"] for event in progress] == list(range(5, 60, 5))
    assert progress[-1]["done"] == 3.67
    assert progress[-1]["tasks"] == 8
    assert progress[-1]["seconds_left"] == 65


def test_without_anything_done_no_time_left_is_made_up() -> None:
    stage = RunningStage("01-filter", 4)
    assert stage.seconds_left is None
    assert stage.state == "0/4 0:00"


def test_rates_have_the_unit_that_gives_a_readable_figure() -> None:
    assert [rate(30, 10), rate(300, 10), rate(3, 10), rate(2, 3600)] == [
        "3.0/s", "30/s", "18/min", "2.0/h",
    ]  # fmt: skip


def test_durations_are_read_as_a_clock() -> None:
    assert [duration(s) for s in (0.4, 65, 3_725)] == ["0:00", "1:05", "1:02:05"]


def test_stopwatch_counts_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([5.0, 7.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    assert Stopwatch().seconds == 2.5
