"""``winnow tune``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.commands.arguments import ManifestPath, OutputFolder, Overrides
from pipeline.commands.printing import print_table
from pipeline.errors import Refusal


def tune(
    manifest: ManifestPath,
    overrides: Overrides = None,
    output: OutputFolder = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the --set values into the manifest.")
    ] = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Where the page goes.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON; no page without --html.")
    ] = False,
) -> None:
    """Show what thresholds remove, from what was measured."""
    from pipeline.tuning.effects import tune as tune_manifest
    from pipeline.tuning.tuning_output import json_output, terminal_output, write_overrides

    if write and not overrides:
        message = "--write writes --set values, and none is given"
        raise Refusal("nothing-to-write", message, "winnow tune MANIFEST --set KEY=VALUE --write")
    tuned = tune_manifest(manifest, overrides or (), output)
    if as_json:
        print(json.dumps(json_output(tuned, html)))
    else:
        for part in terminal_output(tuned, html):
            print(part) if isinstance(part, str) else print_table(part)
    if write:
        for line in write_overrides(manifest, overrides or ()):
            print(line, file=sys.stderr if as_json else sys.stdout)
