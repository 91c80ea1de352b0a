"""``winnow gc``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def gc(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The store of some runs.")],
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete it, instead of listing.")
    ] = False,
) -> None:
    """Show what of a store no run refers to, or delete it."""
    from pipeline.engine.store import collect_garbage

    found = collect_garbage(store, remove=delete)
    for reference in found.lost_runs:
        print(f"the run that {reference.name} refers to is gone")
    verb = "freed" if delete else "would be freed with --delete"
    print(
        f"{len(found.tasks):,} results, {found.bytes / 1e6:,.1f} MB {verb}; "
        f"{found.kept:,} results are referred to and stay"
    )
