"""``winnow label``: labels alone, and the store that they are kept in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from winnow import Refusal
from winnow.commands import OutputFolder, Overrides, load, print_table, run_loaded

STEP = "label"
MILLION = 1_000_000
HEADS = (
    *("job", "model", "answers", "failed", "lost", "prompt tokens", "cached", "generated"),
    *("GPU-seconds", "per million answers"),
)


def label(
    manifest: Annotated[
        Path | None, typer.Argument(metavar="[MANIFEST]", help="Run it up to its last label step.")
    ] = None,
    overrides: Overrides = None,
    output: OutputFolder = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="Write all labels to a file.")
    ] = None,
    bring: Annotated[
        Path | None, typer.Option("--import", metavar="FILE", help="Add the labels of a file.")
    ] = None,
    costs: Annotated[bool, typer.Option("--costs", help="Show what labels have cost.")] = False,
) -> None:
    """Buy labels, and move them between machines."""
    if manifest is None and export is None and bring is None and not costs:
        hint = "winnow label MANIFEST, or --import FILE, --export FILE, --costs"
        raise Refusal("nothing-to-do", "neither a manifest nor an option is given", hint)
    if bring is not None:
        _import(bring)
    try:
        if manifest is not None:
            _run(manifest, overrides, output)
    finally:
        if export is not None:
            _export(export)
        if costs:
            _costs()


def _run(manifest: Path, overrides: list[str] | None, output: Path | None) -> None:
    loaded = load(manifest, overrides, output)
    labels = [named.label for named in loaded.steps if named.name == STEP]
    if not labels:
        hint = "add one, such as label: {rubric: educational_value, server: …}"
        raise Refusal("no-label-step", f"{manifest} has no step {STEP}", hint)
    run_loaded(loaded.until(labels[-1]))


def _import(path: Path) -> None:
    from classifiers.labelling.label_exchange import import_labels
    from classifiers.labelling.label_store import LabelStore, store_path

    moved = import_labels(LabelStore(store_path()), path)
    differing = f", {moved.different} of them with another answer here" if moved.different else ""
    print(f"{path}: {moved.new:,} new labels, {moved.known:,} known{differing}")


def _export(path: Path) -> None:
    from classifiers.labelling.label_exchange import export_labels
    from classifiers.labelling.label_store import LabelStore, store_path

    print(f"{path}: {export_labels(LabelStore(store_path()), path):,} labels")


def _costs() -> None:
    from rich.table import Table

    from classifiers.labelling.label_store import LabelStore, store_path

    table = Table(box=None, pad_edge=False)
    for head in HEADS:
        # On a narrow terminal numbers go on in the next line: none loses a digit.
        table.add_column(head, overflow="fold", justify="left" if head in HEADS[:2] else "right")
    for cost in LabelStore(store_path()).costs():
        per_million = cost.gpu_seconds / cost.answers * MILLION if cost.answers else 0
        table.add_row(
            cost.job[:8],
            _printable(cost.model),
            f"{cost.answers:,}",
            f"{cost.failed:,}",
            f"{cost.lost:,}",
            f"{cost.prompt_tokens:,}",
            f"{cost.cached_tokens:,}",
            f"{cost.completion_tokens:,}",
            f"{cost.gpu_seconds:,.1f}",
            f"{per_million:,.0f}" if per_million else "",
        )
    print_table(table)


def _printable(name: str) -> str:
    """Names may come from another user's export, and with them control codes of the terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in name)
