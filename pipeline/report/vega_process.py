"""Draws Vega-Lite in a process of its own: a line of JSON in, a line of JSON out.

The drawing library carries a JavaScript engine that can take its whole process down (vl-convert
issue 206). A run that has computed for hours must not go with it, so the engine lives here and a
drawing that died with it is tried once more.
"""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import orjson

ATTEMPTS = 2


class VegaProcess:
    """The process that draws; started on first use, ends with the one that started it."""

    def __init__(self, command: tuple[str, ...] = (sys.executable, "-P", "-m", __name__)) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def svg(self, spec: bytes, config: dict[str, Any]) -> str:
        """The drawing of ``spec`` (JSON). Raises ValueError saying why there is none."""
        line = orjson.dumps([spec.decode(), config]) + b"\n"
        for _ in range(ATTEMPTS):
            if answer := self._ask(line):
                drawing, error = orjson.loads(answer)
                if error:
                    raise ValueError(error)
                return str(drawing)
            self.close()
        raise ValueError(f"the drawing process ended {ATTEMPTS} times without an answer")

    def _ask(self, line: bytes) -> bytes:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(line)
            process.stdin.flush()
            return process.stdout.readline()
        except BrokenPipeError:
            return b""

    def close(self) -> None:
        """End the process; the next drawing starts another."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:  # what was left unsent went with the process
                continue
        process.wait()


def serve() -> None:
    """Answer until standard input ends."""
    import vl_convert

    for line in sys.stdin.buffer:
        spec, config = orjson.loads(line)
        try:
            drawing = vl_convert.vegalite_to_svg(spec, config=config, allowed_base_urls=[])
            error = ""
        except ValueError as problem:
            drawing, error = "", str(problem)
        sys.stdout.buffer.write(orjson.dumps([drawing, error]) + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    serve()
