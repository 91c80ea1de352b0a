"""``winnow verify``."""

from __future__ import annotations

import typer

from pipeline.commands.arguments import RunFolder


def verify(output: RunFolder) -> None:
    """Read every committed file of a run again and compare it with its receipt."""
    from pipeline.engine.status import verify as verify_outputs

    faults = verify_outputs(output)
    for fault in faults:
        print(fault)
    if faults:
        print("run the manifest again: what is wrong is made anew")
        raise typer.Exit(1)
    print("every output is as its receipt lists it")
