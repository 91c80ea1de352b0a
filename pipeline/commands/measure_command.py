"""``winnow measure``."""

from __future__ import annotations

import typer

from pipeline.commands.arguments import ManifestPath, OutputFolder, Overrides, load
from pipeline.commands.printing import print_failures


def measure(
    manifest: ManifestPath, overrides: Overrides = None, output: OutputFolder = None
) -> None:
    """Measure every signal of every document; drop nothing."""
    from pipeline.engine.results import REPORT
    from pipeline.tuning.measure_run import FOLDER
    from pipeline.tuning.measure_run import measure as measure_manifest

    loaded = load(manifest, overrides, output)
    measured = measure_manifest(loaded)
    results = measured.results
    print_failures(results.failures)
    counts = results.documents
    done = ["reused" for stage in results.stages[:1] if stage.status == "reused"]
    print(
        f"{done[0] if done else results.status} in {results.seconds:.1f} s; "
        f"{counts.rows:,} rows in = {counts.kept.documents:,} measured "
        f"+ {sum(counts.quarantined.values()):,} quarantined"
    )
    if measured.skipped:
        print(f"not measured, need all documents at once: {', '.join(measured.skipped)}")
    if measured.left_out:
        print(f"not measured, need what those add: {', '.join(measured.left_out)}")
    print(f"signals by source: {loaded.output / FOLDER / REPORT}")
    raise typer.Exit(results.exit_code)
