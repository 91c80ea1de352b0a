"""On what a run was made: the machine, the versions, the commits, and what changed since the last.

Stored in run_results.json when a run ends, so that a report that is written again shows the run's
own machine and not the present one.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from pipeline.manifest.registry import step_labels

_GIT_SECONDS: Final = 10.0  # a repository that is slower than this has no commit here
_CODE: Final = Path(__file__)
_SHOWN: Final = 200  # characters of a value


class Environment(BaseModel):
    """``commit`` is that of winnow's own code and ``manifest_commit`` that of the manifest's
    repository, "-dirty" appended where files differ from it, and "" where git keeps neither.
    ``memory`` is in bytes; ``packages`` are what winnow requires, by name."""

    model_config = ConfigDict(extra="forbid")

    system: str = ""
    processor: str = ""
    cores: int = 0
    memory: int = 0
    python: str = ""
    commit: str = ""
    manifest_commit: str = ""
    packages: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, manifest: Path) -> Environment:
        """That of this process, for a run of ``manifest``."""
        return cls(
            system=platform.platform(),
            processor=_processor(),
            cores=len(os.sched_getaffinity(0)),
            memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
            python=platform.python_version(),
            commit=commit_of(_CODE),
            manifest_commit=commit_of(manifest),
            packages=_packages(),
        )


class LastRun(BaseModel):
    """The run into the same folder before this one. ``changes`` are fields of the manifest,
    versions and commits that differ, each with the old and the new value."""

    model_config = ConfigDict(extra="forbid")

    started: str
    status: str
    rows: int
    kept: int
    headlines: dict[str, str]
    changes: list[str]


def commit_of(path: Path) -> str:
    """The commit of the repository that tracks the file ``path``; "" where none does."""
    if _git(path.parent, "ls-files", "--error-unmatch", path.name) is None:
        return ""
    found = _git(path.parent, "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12")
    return (found or "").strip()


def manifest_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs between two manifests, as plain values: steps by their labels."""
    old, new = _steps(before), _steps(now)
    yield from changes({**before, "steps": old}, {**now, "steps": new})
    shared = [label for label in old if label in new]
    if shared != [label for label in new if label in old]:
        yield f"steps are in another order: {', '.join(old)} → {', '.join(new)}"


def _steps(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Label → parameters."""
    items = [item if isinstance(item, dict) else {item: {}} for item in manifest.get("steps", ())]
    labels = step_labels(next(iter(item)) for item in items)
    return {
        label: next(iter(item.values())) or {} for label, item in zip(labels, items, strict=True)
    }


def changes(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """Values that differ in two trees of JSON: ``proxy.seeds: 2 → 4``."""
    pairs: dict[str, tuple[Any, Any]] | None = None
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys((*before, *now))
        pairs = {key: (before.get(key, _ABSENT), now.get(key, _ABSENT)) for key in keys}
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        numbered = enumerate(zip(before, now, strict=True))
        pairs = {str(number): pair for number, pair in numbered}
    if pairs is not None:
        for key, (old, new) in pairs.items():
            yield from changes(old, new, f"{path}.{key}" if path else key)
    elif before is _ABSENT:
        yield f"{path}: {_shown(now)} is new"
    elif now is _ABSENT:
        yield f"{path}: {_shown(before)} is gone"
    elif before != now:
        yield f"{path}: {_shown(before)} → {_shown(now)}"


_ABSENT: Final = object()


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} …"


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None where it is missing, refuses, or takes too long."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1] if found else platform.machine()


def _packages() -> dict[str, str]:
    """Versions of what winnow requires, extras left out, by name."""
    names = {
        re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        for requirement in requires("winnow") or ()
        if "extra ==" not in requirement
    }
    found = {}
    for name in sorted(names, key=str.lower):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
