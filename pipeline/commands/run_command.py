"""``winnow run``, and what other commands that run a manifest need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.arguments import ManifestPath, OutputFolder, Overrides, load
from pipeline.commands.printing import print_failures
from pipeline.commands.quick_imports import quick_imports
from pipeline.report.format import visible

if TYPE_CHECKING:
    from pipeline.manifest import Manifest


def run(
    manifest: ManifestPath,
    overrides: Overrides = None,
    output: OutputFolder = None,
    until: Annotated[
        str, typer.Option("--until", metavar="STEP", help="Stop after this step.")
    ] = "",
    retry_failed: Annotated[
        bool,
        typer.Option("--retry-failed", help="Of the stage in which shards failed, do those alone."),
    ] = False,
) -> None:
    """Run a manifest; what is done already is reused."""
    loaded = load(manifest, overrides, output)
    run_loaded(loaded.until(until) if until else loaded, retry_failed=retry_failed)


def run_loaded(loaded: Manifest, *, retry_failed: bool = False) -> None:
    """Run it, print what came of it, and end with its exit code."""
    with quick_imports():
        from pipeline.engine.results import REPORT, RESULTS
        from pipeline.engine.run import run as run_manifest

    results = run_manifest(loaded, retry_failed=retry_failed)
    print_failures(results.failures)
    reused = sum(stage.status == "reused" for stage in results.stages)
    counts = results.documents
    dropped = sum(tally.documents for found in counts.dropped.values() for tally in found.values())
    quarantined = sum(counts.quarantined.values())
    print(
        f"{results.status} in {results.seconds:.1f} s; "
        f"{reused} of {len(results.stages)} stages reused\n"
        f"{counts.rows:,} rows in = {counts.kept.documents:,} kept + {dropped:,} dropped "
        f"+ {quarantined:,} quarantined"
        + (f" + {results.unfinished:,} in shards that are not done" if results.unfinished else "")
    )
    for warning in results.warnings:
        print(f"warning: {visible(warning)}")
    for extension in results.extensions.values():
        if isinstance(headline := extension.get("headline"), str):
            print(visible(headline))
    if results.corpus is not None:
        print(f"corpus:  {results.corpus}")
    print(f"report:  {loaded.output / REPORT}\nresults: {loaded.output / RESULTS}")
    raise typer.Exit(results.exit_code)
