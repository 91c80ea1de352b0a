"""What a person or a log collector sees of a run: bars on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pipeline.report.format import visible


class Console:
    """Tells of events. Everything also goes to ``logs/events.jsonl`` with its time (UTC)."""

    def __init__(self, logs: Path | None, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._logs = logs
        self._progress: Progress | None = None
        self._bar: TaskID | None = None
        if self._stream.isatty():
            self._progress = Progress(
                TextColumn("{task.description:<44}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                console=RichConsole(file=self._stream),
            )

    def __enter__(self) -> Console:
        if self._progress:
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._progress:
            self._progress.stop()

    def event(self, event: str, **fields: Any) -> None:
        """Something happened. Shown as a JSON line where there is no terminal."""
        time_now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"time": time_now, "event": event, **fields}, default=str)
        if self._logs is not None:
            self._logs.mkdir(parents=True, exist_ok=True)
            with (self._logs / "events.jsonl").open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        if self._progress is None:
            print(line, file=self._stream, flush=True)

    def stage_started(self, name: str, tasks: int, why: str) -> None:
        self.event("stage-started", stage=name, tasks=tasks, why=why)
        if self._progress:
            self._bar = self._progress.add_task(name, total=tasks, note=why[:40])

    def stage_progress(self, done: float, note: str = "") -> None:
        if self._progress and self._bar is not None:
            self._progress.update(self._bar, completed=done, note=note)

    def stage_ended(self, name: str, status: str, seconds: float, note: str = "") -> None:
        self.event("stage-ended", stage=name, status=status, seconds=round(seconds, 2), note=note)
        if self._progress and self._bar is not None:
            task = next(t for t in self._progress.tasks if t.id == self._bar)
            self._progress.update(self._bar, completed=task.total, note=note or status)

    def say(self, text: str) -> None:
        """A line for people; terminals get it with control characters made visible."""
        if self._progress:
            self._progress.console.print(visible(text), markup=False, highlight=False)

    def failure(self, failure: Any) -> None:
        fields = {key: value for key, value in vars(failure).items() if value}
        self.event("task-failed", **fields)
        text = f"{failure.label or failure.key}: {failure.code} {failure.message}"
        self.say(text + (f"\n  hint: {failure.hint}" if failure.hint else ""))


class Stopwatch:
    """Wall time by the monotonic clock, which nobody sets back."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start
