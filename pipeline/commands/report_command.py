"""``winnow report``."""

from __future__ import annotations

from pipeline.commands.arguments import ManifestPath, OutputFolder, Overrides, load
from pipeline.errors import Refusal


def report(
    manifest: ManifestPath, overrides: Overrides = None, output: OutputFolder = None
) -> None:
    """Write the report of the last run again."""
    from pipeline.engine.plan import make_plan
    from pipeline.engine.results import REPORT
    from pipeline.engine.run import load_results
    from pipeline.report.write import write_report

    loaded = load(manifest, overrides, output)
    results = load_results(loaded.output)
    graph = make_plan(loaded).graph
    if [(s.name, s.fingerprint) for s in graph.stages] != [
        (s.name, s.fingerprint) for s in results.stages
    ]:
        message = "the manifest, its input or the code changed since the last run"
        raise Refusal("report-outdated", message, "run it again: winnow run")
    write_report(loaded, graph, results)
    print(loaded.output / REPORT)
