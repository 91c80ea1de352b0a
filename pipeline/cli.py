"""The command line. Exit codes: 0 done; 1 failed shards or gates; 2 nothing ran; 130 stopped."""

from __future__ import annotations

import io
import json
import signal
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console as RichConsole
from rich.table import Table

from pipeline.errors import Refusal, WinnowError
from pipeline.report.format import visible

if TYPE_CHECKING:
    from pipeline.engine.results import FailureResult
    from pipeline.manifest import Manifest

# Commands of steps: functions that typer makes commands of, by entry point.
COMMANDS = "winnow.commands"

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Filter, deduplicate, score and mix text, and prove which mix trains better.",
)

ManifestPath = Annotated[
    Path, typer.Argument(metavar="MANIFEST", help="The manifest, a YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override one value; may be repeated."),
]
OutputFolder = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="Write there instead.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="DIR", help="The output folder of a run.")]


@app.command()
def validate(manifest: ManifestPath, overrides: Overrides = None) -> None:
    """Check a manifest; show every problem with its place."""
    from pipeline.manifest import load_manifest

    loaded = load_manifest(manifest, overrides or ())
    steps = ", ".join(named.label for named in loaded.steps) or "no steps"
    print(f"{manifest}: valid; {len(loaded.sources)} sources; {steps}")


@app.command()
def plan(manifest: ManifestPath, overrides: Overrides = None, output: OutputFolder = None) -> None:
    """Show what a run would do, stage by stage, and why. Writes nothing."""
    from pipeline.engine.plan import make_plan
    from pipeline.manifest import load_manifest

    made = make_plan(load_manifest(manifest, overrides or (), output))
    table = Table("stage", "plan", "tasks", "MB in", "about", "why", box=None, pad_edge=False)
    for planned in made.stages:
        size = sum(task.bytes for task in planned.pending) / 1e6
        table.add_row(
            planned.stage.name,
            planned.status,
            f"{len(planned.pending)}/{len(planned.stage.tasks)}",
            f"{size:.1f}" if size else "",
            f"{planned.seconds:.0f} s" if planned.seconds else "",
            visible(planned.why),
        )
    print_table(table)


@app.command()
def run(
    manifest: ManifestPath,
    overrides: Overrides = None,
    output: OutputFolder = None,
    until: Annotated[
        str, typer.Option("--until", metavar="STEP", help="Stop after this step.")
    ] = "",
) -> None:
    """Run a manifest; what is done already is reused."""
    loaded = load(manifest, overrides, output)
    run_loaded(loaded.until(until) if until else loaded)


def load(manifest: Path, overrides: Sequence[str] | None, output: Path | None) -> Manifest:
    """The manifest that a command is given. Raises ManifestError with every problem."""
    from pipeline.manifest import load_manifest

    return load_manifest(manifest, overrides or (), output)


def run_loaded(loaded: Manifest) -> None:
    """Run it, print what came of it, and end with its exit code."""
    from pipeline.engine.results import REPORT, RESULTS
    from pipeline.engine.run import run as run_manifest

    results = run_manifest(loaded)
    _print_failures(results.failures)
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
    print(f"report:  {loaded.output / REPORT}\nresults: {loaded.output / RESULTS}")
    raise typer.Exit(results.exit_code)


@app.command()
def status(output: RunFolder) -> None:
    """Show how far a run is, from its output folder."""
    from pipeline.engine.status import read_status

    found = read_status(output)
    table = Table("stage", "tasks done", box=None, pad_edge=False)
    for stage in found.stages:
        table.add_row(stage.name, f"{stage.done}/{stage.tasks}")
    print_table(table)
    print("complete" if found.is_complete else "not complete")
    print(f"held by {found.holder}" if found.holder else "nothing is running")


@app.command()
def verify(output: RunFolder) -> None:
    """Read every committed file of a run again and compare it with its receipt."""
    from pipeline.engine.status import verify as verify_outputs

    faults = verify_outputs(output)
    for fault in faults:
        print(fault)
    if faults:
        print("run the manifest again: what is wrong is made anew")
        raise typer.Exit(1)
    print("every output is as its receipt says")


@app.command()
def report(
    manifest: ManifestPath, overrides: Overrides = None, output: OutputFolder = None
) -> None:
    """Write the report of the last run again."""
    from pipeline.engine.graph import build_graph
    from pipeline.engine.plan import make_plan
    from pipeline.engine.results import REPORT
    from pipeline.engine.run import load_results
    from pipeline.manifest import load_manifest
    from pipeline.report.write import write_report

    loaded = load_manifest(manifest, overrides or (), output)
    results = load_results(loaded.output)
    graph = build_graph(loaded, make_plan(loaded).shards)
    if [(s.name, s.fingerprint) for s in graph.stages] != [
        (s.name, s.fingerprint) for s in results.stages
    ]:
        message = "the manifest, its input or the code changed since the last run"
        raise Refusal("report-outdated", message, "run it again: winnow run")
    write_report(loaded, graph, results)
    print(loaded.output / REPORT)


@app.command()
def measure(
    manifest: ManifestPath, overrides: Overrides = None, output: OutputFolder = None
) -> None:
    """Measure every signal of every document; drop nothing."""
    from pipeline.engine.results import REPORT
    from pipeline.manifest import load_manifest
    from pipeline.tuning.measuring import FOLDER
    from pipeline.tuning.measuring import measure as measure_manifest

    loaded = load_manifest(manifest, overrides or (), output)
    measured = measure_manifest(loaded)
    results = measured.results
    _print_failures(results.failures)
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


@app.command()
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
    from pipeline.tuning.telling import tell, tell_json, write_into
    from pipeline.tuning.tuning import tune as tune_manifest

    if write and not overrides:
        message = "--write writes --set values, and none is given"
        raise Refusal("nothing-to-write", message, "winnow tune MANIFEST --set KEY=VALUE --write")
    tuned = tune_manifest(manifest, overrides or (), output)
    if as_json:
        print(json.dumps(tell_json(tuned, html)))
    else:
        for part in tell(tuned, html):
            print(part) if isinstance(part, str) else print_table(part)
    if write:
        for line in write_into(manifest, overrides or ()):
            print(line, file=sys.stderr if as_json else sys.stdout)


@app.command()
def schema(
    results: Annotated[
        bool, typer.Option("--results", help="The schema of run_results.json instead.")
    ] = False,
    reference: Annotated[
        bool, typer.Option("--reference", help="The same as a page of Markdown.")
    ] = False,
) -> None:
    """Print the JSON schema of manifests, for editors."""
    from pipeline.engine.results import results_schema
    from pipeline.manifest.reference import reference_page
    from pipeline.manifest.schema import manifest_schema

    if reference:
        print(reference_page(manifest_schema()), end="")
        return
    made: dict[str, Any] = results_schema() if results else manifest_schema()
    print(json.dumps(made, indent=2))


def _print_failures(failures: Sequence[FailureResult]) -> None:
    for failure in failures:
        print(visible(f"{failure.task}: {failure.code} {failure.message}"), file=sys.stderr)
        if failure.hint:
            print(f"  hint: {visible(failure.hint)}", file=sys.stderr)


def print_table(table: Table) -> None:
    """Print it as wide as the terminal is; 200 characters where there is none."""
    width = None if sys.stdout.isatty() else 200
    RichConsole(width=width, highlight=False, markup=False).print(table)


class _Stopped(BaseException):
    """Ctrl-C or a termination signal; not a KeyboardInterrupt, which the framework swallows."""


def _stop(number: int, frame: object) -> None:
    raise _Stopped


def add_commands() -> None:
    """Add the commands of installed packages, those of our own steps among them."""
    for point in sorted(entry_points(group=COMMANDS), key=lambda point: point.name):
        app.command(point.name)(point.load())


def main() -> None:
    """Run the command line; errors become messages and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without → or −
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
    add_commands()
    try:
        app()
    except WinnowError as error:
        print(visible(str(error)), file=sys.stderr)
        sys.exit(error.exit_code)
    except _Stopped:
        print("stopped; run again to go on from what is committed", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
