"""The arguments and options that several commands take, and the manifest that they name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.quick_imports import quick_imports
from pipeline.report.format import visible

if TYPE_CHECKING:
    from pipeline.manifest import Manifest

ManifestPath = Annotated[
    Path, typer.Argument(metavar="MANIFEST", help="The manifest, a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value; may be repeated."),
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="Write there instead.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The output folder of a run.")]


def load(manifest: Path, overrides: Sequence[str] | None, output: Path | None = None) -> Manifest:
    """The manifest that a command is given; prints its warnings.

    Raises ManifestError with every problem.
    """
    with quick_imports():
        from pipeline.manifest import load_manifest

        loaded = load_manifest(manifest, overrides or (), output)
    for warning in loaded.warnings:
        print(f"warning: {visible(warning)}", file=sys.stderr)
    return loaded
