"""What is seen of a run while it goes on: a progress bar on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO

from pipeline.report.format import visible

if TYPE_CHECKING:
    from rich.progress import Progress

# Seconds between two reports of a running stage where there is no terminal.
REPORT_EVERY_S = 5.0


class Console:
    """Reports events. Everything also goes to ``logs/events.jsonl`` with its time (UTC).

    On a terminal the running stage has one line, at the bottom, and finished ones stand above it,
    so that the running one is seen however many there are.
    """

    def __init__(self, logs: Path | None, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._logs = logs
        self._progress = _progress(self._stream) if self._stream.isatty() else None
        self._stage: RunningStage | None = None

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

    def stage_started(self, name: str, tasks: int, why: str, number: int, stages: int) -> None:
        """Stage ``number`` of ``stages`` begins, with ``tasks`` to be done."""
        place = {"number": number, "stages": stages}
        self.event("stage-started", stage=name, **place, tasks=tasks, why=why)
        self._stage = RunningStage(name, tasks)
        if self._progress:
            title = f"stage {number} of {stages}: {visible(name)}"
            self._progress.add_task(title, total=tasks, state=self._stage.state)

    def stage_progress(self, done: float, note: str = "") -> None:
        """``done`` tasks of the running stage, parts of tasks included."""
        stage = self._stage
        if stage is None:
            return
        stage.done = done
        if self._progress:
            state = " ".join(filter(None, (stage.state, note)))
            task = self._progress.task_ids[-1]
            self._progress.update(task, completed=done, state=state, refresh=True)
        elif stage.seconds - stage.reported_at >= REPORT_EVERY_S:
            stage.reported_at = stage.seconds
            left = stage.seconds_left
            self.event(
                "stage-progress",
                stage=stage.name,
                done=round(done, 2),
                tasks=stage.tasks,
                seconds=round(stage.seconds, 1),
                seconds_left=None if left is None else round(left),
            )

    def stage_ended(self, name: str, status: str, seconds: float, note: str = "") -> None:
        self.event("stage-ended", stage=name, status=status, seconds=round(seconds, 2), note=note)
        if self._progress:
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self.print(f"{name}: {status} in {duration(seconds)}" + (f"; {note}" if note else ""))
        self._stage = None

    def print(self, text: str) -> None:
        """A line for people; terminals get it with control characters made visible."""
        if self._progress:
            self._progress.console.print(visible(text), markup=False, highlight=False)

    def failure(self, failure: Any) -> None:
        fields = {key: value for key, value in vars(failure).items() if value}
        self.event("task-failed", **fields)
        text = f"{failure.label or failure.key}: {failure.code} {failure.message}"
        self.print(text + (f"\n  hint: {failure.hint}" if failure.hint else ""))


class RunningStage:
    """How far a stage is, how fast it goes, and when it will be done at that rate."""

    def __init__(self, name: str, tasks: int) -> None:
        self.name = name
        self.tasks = tasks
        self.done = 0.0
        self.reported_at = 0.0  # seconds after the start
        self._watch = Stopwatch()

    @property
    def seconds(self) -> float:
        return self._watch.seconds

    @property
    def seconds_left(self) -> float | None:
        """None while nothing is done from which it could be estimated."""
        if not self.done:
            return None
        return self.seconds / self.done * max(0.0, self.tasks - self.done)

    @property
    def state(self) -> str:
        """Tasks done, their rate, and the time left: ``2/8 1.5/s 0:04 left``."""
        tasks = f"{int(self.done)}/{self.tasks}"
        left = self.seconds_left
        if left is None:
            return f"{tasks} {duration(self.seconds)}"
        return f"{tasks} {rate(self.done, self.seconds)} {duration(left)} left"


def rate(count: float, seconds: float) -> str:
    """In the unit that gives a figure of at least one: ``3.1/s``, ``12/min``, ``2.5/h``."""
    for unit, length in (("s", 1), ("min", 60), ("h", 3600)):
        value = count / max(seconds, 1e-3) * length
        if value >= 1 or unit == "h":
            break
    return f"{value:.1f}/{unit}" if value < 10 else f"{value:.0f}/{unit}"


def duration(seconds: float) -> str:
    """``0:04``, ``1:05:00``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Stopwatch:
    """Wall time by the monotonic clock, which nobody sets back."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start


def _progress(stream: TextIO) -> Progress:
    """The line of the running stage, within any width: its name is what gets shorter."""
    # Imported here: only terminals need it.
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TextColumn
    from rich.table import Column

    name = Column(ratio=1, no_wrap=True, overflow="ellipsis", min_width=12)
    return Progress(
        TextColumn("{task.description}", markup=False, table_column=name),
        BarColumn(bar_width=12, table_column=Column(max_width=12)),
        TextColumn("{task.fields[state]}", markup=False, table_column=Column(no_wrap=True)),
        console=RichConsole(file=stream),
        expand=True,
        auto_refresh=False,  # by a thread, which must not be there when workers fork
    )
