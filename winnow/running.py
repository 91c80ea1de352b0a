"""Manifests from Python: load one, run it, read what a run left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline import manifest as manifests
from pipeline.engine import run as engine
from pipeline.engine.results import RunResults
from pipeline.manifest import Manifest


def load_manifest(
    path: str | Path, overrides: Sequence[str] = (), output: str | Path | None = None
) -> Manifest:
    """A manifest, checked as a whole. ``overrides`` are as after ``--set``: ``"seed=3"``.

    Raises ManifestError with every problem.
    """
    return manifests.load_manifest(Path(path), overrides, None if output is None else Path(output))


def run(manifest: Manifest | str | Path) -> RunResults:
    """Do what a manifest asks for and is not done yet, as ``winnow run`` does.

    Raises ManifestError when it is wrong, and Refusal when nothing may run. Faults of shards do not
    raise: ``exit_code`` is 1 then, and they are in ``failures``.
    """
    loaded = manifest if isinstance(manifest, Manifest) else load_manifest(manifest)
    return engine.run(loaded)


def results(folder: str | Path) -> RunResults:
    """What the last run into ``folder`` did. Raises Refusal when there is none."""
    return engine.load_results(Path(folder))
