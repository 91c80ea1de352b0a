"""Nothing of a server stays behind, however it or whoever started it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from classifiers.judges.process_guard import environment, has_ended, living, wait_for

GUARD = (sys.executable, "-m", "classifiers.judges.process_guard")

# A server with a worker that outlives it unless somebody sees to that.
SERVER = """
import os, signal, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
{setup}
with open(sys.argv[1] + ".part", "w") as file:
    file.write(f"{{os.getpid()}} {{worker.pid}}")
os.rename(sys.argv[1] + ".part", sys.argv[1])
{then}
"""
PATIENT = "time.sleep(600)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"


class Guarded:
    """A guard over a server that has started: its pid, and those of the server and its worker."""

    def __init__(
        self, folder: Path, then: str = PATIENT, setup: str = "", grace: float = 5
    ) -> None:
        script = folder / "server.py"
        script.write_text(SERVER.format(setup=setup, then=then))
        note = folder / "pids"
        command = [*GUARD, str(grace), sys.executable, str(script), str(note)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        assert wait_for(note.exists, 30)
        self.server, self.worker = map(int, note.read_text().split())

    def is_gone(self) -> bool:
        return not runs(self.server) and not runs(self.worker)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[type[Guarded]]:
    made: list[Guarded] = []

    class Recorded(Guarded):
        def __init__(self, **how: object) -> None:
            super().__init__(tmp_path, **how)  # type: ignore[arg-type]
            made.append(self)

    yield Recorded
    for one in made:
        for pid in (one.process.pid, one.server, one.worker):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        one.process.communicate()


def runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in ("Z", "X")


def test_server_and_worker_run_in_a_group_of_their_own(guarded: type[Guarded]) -> None:
    one = guarded()
    assert os.getpgid(one.server) == os.getpgid(one.worker) == one.server
    assert set(living(one.server)) == {one.server, one.worker}


def test_sigterm_ends_all(guarded: type[Guarded]) -> None:
    one = guarded()
    one.process.terminate()
    assert one.process.wait(30) == 128 + signal.SIGTERM
    assert one.is_gone()


def test_a_server_may_end_by_itself_when_asked(guarded: type[Guarded], tmp_path: Path) -> None:
    farewell = tmp_path / "farewell"
    setup = f"""
def leave(*_):
    time.sleep(0.5)
    open({str(farewell)!r}, "w").close()
    sys.exit(7)
signal.signal(signal.SIGTERM, leave)
"""
    one = guarded(setup=setup)
    one.process.terminate()
    assert one.process.wait(30) == 7
    assert farewell.exists()
    assert one.is_gone()


def test_a_deaf_server_is_killed_after_the_grace_period(guarded: type[Guarded]) -> None:
    one = guarded(setup=DEAF, grace=0.5)
    begun = time.monotonic()
    one.process.terminate()
    assert one.process.wait(30) == 128 + signal.SIGKILL
    assert time.monotonic() - begun >= 0.5
    assert one.is_gone()


@pytest.mark.parametrize(("then", "code"), [("sys.exit(3)", 3), ("os.abort()", 134)])
def test_worker_goes_when_the_server_ends(guarded: type[Guarded], then: str, code: int) -> None:
    one = guarded(then=then)
    assert one.process.wait(30) == code
    assert one.is_gone()


def test_end_of_input_ends_all(guarded: type[Guarded]) -> None:
    one = guarded()
    assert one.process.stdin is not None
    one.process.stdin.close()
    one.process.wait(30)
    assert one.is_gone()


def test_something_on_the_input_is_no_end(guarded: type[Guarded]) -> None:
    one = guarded()
    assert one.process.stdin is not None
    one.process.stdin.write(b"hello\n")
    one.process.stdin.flush()
    time.sleep(0.3)
    assert one.process.poll() is None
    assert not one.is_gone()


def test_a_killed_parent_takes_all_along(tmp_path: Path) -> None:
    """Also when another child of it holds its end of the guard's input open."""
    note = tmp_path / "pids"
    server = tmp_path / "server.py"
    server.write_text(SERVER.format(setup="", then=PATIENT))
    parent = tmp_path / "parent.py"
    parent.write_text(
        textwrap.dedent(f"""
            import os, subprocess, sys, time
            command = [{sys.executable!r}, "-m", "classifiers.judges.process_guard", "5",
                       sys.executable, {str(server)!r}, {str(note)!r}]
            guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
            if os.fork() == 0:
                time.sleep(600)
            print("up", flush=True)
            time.sleep(600)
        """)
    )
    started = subprocess.Popen(
        [sys.executable, str(parent)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert started.stdout is not None
    try:
        assert wait_for(note.exists, 30)
        pids = [int(pid) for pid in note.read_text().split()]
        assert started.stdout.readline() == b"up\n"
        os.kill(started.pid, signal.SIGKILL)
        assert wait_for(lambda: not any(map(runs, pids)), 30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        started.stdout.close()


def test_a_killed_guard_takes_the_server_along(guarded: type[Guarded]) -> None:
    one = guarded()
    one.process.kill()
    assert wait_for(lambda: not runs(one.server), 30)


def test_an_ended_child_is_left_to_be_reaped() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.exit(5)"])
    assert wait_for(lambda: has_ended(child.pid), 30)
    assert has_ended(child.pid)
    assert child.wait() == 5


def test_waiting_ends_with_the_condition_or_the_time() -> None:
    assert wait_for(lambda: True, 0)
    assert not wait_for(lambda: False, 0.1)


@pytest.mark.parametrize(
    ("program", "kept"), [(sys.executable, True), ("/opt/elsewhere/bin/vllm", False)]
)
def test_our_module_path_is_for_programs_beside_our_python_alone(
    program: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("OTHER", "stays")
    given = environment(program)
    assert ("PYTHONPATH" in given) == kept
    assert given["OTHER"] == "stays"
