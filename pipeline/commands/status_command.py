"""``winnow status``."""

from __future__ import annotations

from pipeline.commands.arguments import RunFolder
from pipeline.commands.printing import print_table
from pipeline.report.format import visible


def status(output: RunFolder) -> None:
    """Show how far a run is, from its output folder."""
    from rich.table import Table

    from pipeline.engine.status import read_status

    found = read_status(output)
    table = Table("stage", "tasks done", box=None, pad_edge=False)
    for stage in found.stages:
        table.add_row(stage.name, f"{stage.done}/{stage.tasks}")
    print_table(table)
    for failure in found.failures:
        print(visible(f"{failure.label}: {failure.code} {failure.message}"))
    print("complete" if found.is_complete else "not complete")
    print(f"held by {found.holder}" if found.holder else "nothing is running")
