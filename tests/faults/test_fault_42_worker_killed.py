"""Faults 22 and 42: a worker that is killed (or crashes in native code) is noticed, its task is
tried once more, and then fails by name; the others go on, and nothing hangs."""

from __future__ import annotations

from pathlib import Path

from small_runs import MANIFEST, small_project, winnow

KILLER = '''
import os
import signal
from pathlib import Path

import numpy as np
from winnow import RowStep, FilterResult


class Killer(RowStep):
    """Dies on a document that says so, ``times`` times."""

    marker: str
    times: int
    number: int = 9

    def filter(self, docs):
        if any("die" in text for text in docs.text.to_pylist()):
            marker = Path(self.marker)
            deaths = len(marker.read_text()) if marker.exists() else 0
            if deaths < self.times:
                marker.write_text("x" * (deaths + 1))
                os.kill(os.getpid(), self.number)
        return FilterResult(keep=np.ones(len(docs), dtype=bool))
'''


def project(folder: Path, times: int, number: int) -> Path:
    steps = f"  - killer.py:Killer: {{marker: {folder}/deaths, times: {times}, number: {number}}}\n"
    path = small_project(folder, MANIFEST[: MANIFEST.index("  - short")] + steps)
    (folder / "killer.py").write_text(KILLER)
    text = (folder / "a2.jsonl").read_text()
    (folder / "a2.jsonl").write_text(text.replace("one more text", "now die"))
    return path


def test_worker_killed_once_costs_nothing_but_time(tmp_path: Path) -> None:
    done = winnow("run", project(tmp_path, times=1, number=9), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "9 rows in = 9 kept" in done.stdout


def test_worker_killed_twice_fails_the_run_and_names_the_shard(tmp_path: Path) -> None:
    done = winnow("run", project(tmp_path, times=99, number=9), cwd=tmp_path)
    assert done.returncode == 1
    assert "a2.jsonl: worker-died" in done.stderr
    assert (tmp_path / "deaths").read_text() == "xx"
    assert len(list(tmp_path.glob(".store/tasks/*/*/receipt.json"))) == 2


def test_crash_of_native_code_is_survived(tmp_path: Path) -> None:
    segmentation_fault = 11
    done = winnow("run", project(tmp_path, times=99, number=segmentation_fault), cwd=tmp_path)
    assert done.returncode == 1
    assert "a2.jsonl: worker-died" in done.stderr
