"""``winnow plan``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.commands.arguments import ManifestPath, OutputFolder, Overrides, load
from pipeline.commands.printing import print_table
from pipeline.commands.quick_imports import quick_imports
from pipeline.report.format import visible


def plan(
    manifest: ManifestPath,
    overrides: Overrides = None,
    output: OutputFolder = None,
    why: Annotated[
        str, typer.Option("--why", metavar="STAGE", help="Only why this stage is not reused.")
    ] = "",
) -> None:
    """Show what a run would do, stage by stage, and why. Writes nothing."""
    with quick_imports():
        from rich.table import Table

        from pipeline.engine.plan import make_plan, root_causes

        made = make_plan(load(manifest, overrides, output))
    for warning in made.explainer.warnings():
        print(f"warning: {visible(warning)}", file=sys.stderr)
    if why:
        for line in root_causes(made, why):
            print(visible(line))
        return
    table = Table("stage", "plan", "tasks", "MB in", "about", "why", box=None, pad_edge=False)
    for planned in made.stages:
        size = sum(task.bytes for task in (*planned.pending, *planned.waiting)) / 1e6
        table.add_row(
            planned.stage.name,
            planned.status,
            f"{len(planned.pending) + len(planned.waiting)}/{len(planned.stage.tasks)}",
            f"{size:.1f}" if size else "",
            f"{planned.seconds:.0f} s" if planned.seconds else "",
            visible(planned.why),
        )
    print_table(table)
