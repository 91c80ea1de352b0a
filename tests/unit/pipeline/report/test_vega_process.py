from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.vega_process import VegaProcess

BAR: dict[str, Any] = {
    "data": {"values": [{"name": "wiki", "n": 3}]},
    "mark": "bar",
    "encoding": {
        "y": {"field": "name", "type": "nominal"},
        "x": {"field": "n", "type": "quantitative"},
    },
}
SPEC = json.dumps(BAR).encode()


def dying(tmp_path: Path, times: int) -> VegaProcess:
    """Draws as ever, but its engine takes the process down ``times`` times."""
    counter = tmp_path / "deaths"
    counter.write_text("")
    program = (
        "import os, pathlib, signal, sys\n"
        f"seen = pathlib.Path({str(counter)!r})\n"
        f"if len(seen.read_text()) < {times}:\n"
        "    seen.write_text(seen.read_text() + 'x')\n"
        "    sys.stdin.buffer.readline()\n"
        "    os.kill(os.getpid(), signal.SIGSEGV)\n"
        "from pipeline.report.vega_process import serve\n"
        "serve()\n"
    )
    return VegaProcess((sys.executable, "-P", "-c", program))


def test_one_process_draws_everything() -> None:
    drawer = VegaProcess()
    first = drawer.svg(SPEC, {})
    process = drawer._process
    assert first.startswith("<svg")
    assert drawer.svg(SPEC, {}) == first
    assert drawer._process is process
    drawer.close()


def test_the_configuration_reaches_the_drawing() -> None:
    drawer = VegaProcess()
    assert "#123456" in drawer.svg(SPEC, {"bar": {"color": "#123456"}})
    drawer.close()


def test_what_cannot_be_drawn_is_said_and_the_process_goes_on() -> None:
    drawer = VegaProcess()
    with pytest.raises(ValueError, match="conversion failed"):
        drawer.svg(b'{"mark": "nonsense"}', {})
    assert drawer.svg(SPEC, {}).startswith("<svg")
    drawer.close()


def test_a_drawing_whose_process_died_is_tried_once_more(tmp_path: Path) -> None:
    drawer = dying(tmp_path, 1)
    assert drawer.svg(SPEC, {}).startswith("<svg")
    drawer.close()


def test_a_drawing_that_kills_every_process_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="ended 2 times"):
        dying(tmp_path, 2).svg(SPEC, {})


def test_a_process_that_was_killed_while_idle_is_replaced() -> None:
    drawer = VegaProcess()
    first = drawer.svg(SPEC, {})
    assert drawer._process is not None
    drawer._process.kill()
    drawer._process.wait()
    assert drawer.svg(SPEC, {}) == first
    drawer.close()


def test_the_process_ends_with_the_one_that_started_it() -> None:
    program = (
        "from pipeline.report.vega_process import VegaProcess\n"
        "drawer = VegaProcess()\n"
        f"drawer.svg({SPEC!r}, {{}})\n"
        "print(drawer._process.pid, flush=True)\n"
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    stat = Path(f"/proc/{int(made.stdout)}/stat")
    # The pipe's other end was held by capture_output too: it closed, so the drawer has ended.
    assert not stat.exists() or stat.read_text().split()[2] in "ZX"


def test_a_folder_called_pipeline_where_one_works_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline" / "__init__.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    drawer = VegaProcess()
    assert drawer.svg(SPEC, {}).startswith("<svg")
    drawer.close()
