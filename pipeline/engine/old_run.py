"""Recognises the folders of runs that an earlier version of winnow made."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pipeline.errors import Refusal

# Stages were folders with a running number and a digest: ``stages/03-exact_dedup@1f0c77aa``.
_STAGE = re.compile(r"\d{2,}-.+@[0-9a-f]{8,}")
_RESULTS = "run_results.json"


def refuse_old_run(output: Path) -> None:
    """Raises Refusal when ``output`` holds a run that this version neither reads nor changes."""
    if _has_old_stages(output) or _has_old_results(output):
        message = f"{output} holds a run of an earlier version of winnow, which stays as it is"
        hint = "name another folder with --output, or move this one away"
        raise Refusal("old-run", message, hint)


def _has_old_stages(output: Path) -> bool:
    stages = output / "stages"
    return stages.is_dir() and any(_STAGE.fullmatch(path.name) for path in stages.iterdir())


def _has_old_results(output: Path) -> bool:
    try:
        results = json.loads((output / _RESULTS).read_bytes())
    except (OSError, ValueError):
        return False  # there are none, or none with a version: the engine looks at the rest
    return isinstance(results, dict) and results.get("schema_version") == 1
