"""What commands print in common."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.report.format import visible

if TYPE_CHECKING:
    from rich.table import Table

    from pipeline.engine.results import FailureResult


def print_failures(failures: Sequence[FailureResult]) -> None:
    """Print what failed, with hints; not on a terminal, where each was shown when it happened."""
    if sys.stderr.isatty():
        return
    for failure in failures:
        print(visible(f"{failure.task}: {failure.code} {failure.message}"), file=sys.stderr)
        if failure.hint:
            print(f"  hint: {visible(failure.hint)}", file=sys.stderr)


def print_table(table: Table) -> None:
    """Print it as wide as the terminal is; 200 characters where there is none."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else 200
    Console(width=width, highlight=False, markup=False).print(table)
