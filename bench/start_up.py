"""CPU time of commands that have nothing to compute, each the median of five.

    python bench/start_up.py [MANIFEST] [--times N]

``plan`` and ``run`` are measured after a first run of the manifest, which they reuse as a whole.
CPU time is that of the command and of all its processes, so a busy machine changes it little.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

QUICKSTART = Path(__file__).parent.parent / "manifests" / "quickstart.yaml"
# Seconds that the commands may take with the quickstart on two cores.
LIMITS = {"--help": 0.3, "--version": 0.3, "validate": 0.5, "plan": 1.0, "run": 1.0}


def cpu_seconds(*arguments: str) -> float:
    """User and system time of one command and of the processes that it waited for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pipeline.cli", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("manifest", nargs="?", default=str(QUICKSTART))
    parser.add_argument("--times", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = ("--output", f"{folder}/run")
        commands = {
            "--help": (),
            "--version": (),
            "validate": (chosen.manifest,),
            "plan": (chosen.manifest, *output),
            "run": (chosen.manifest, *output),
        }
        cpu_seconds("run", *commands["run"])
        print("| command | CPU s | at most |\n| --- | --- | --- |")
        for name, arguments in commands.items():
            times = [cpu_seconds(name, *arguments) for _ in range(chosen.times)]
            print(f"| `{name}` | {statistics.median(times):.2f} | {LIMITS[name]} |")


if __name__ == "__main__":
    main()
