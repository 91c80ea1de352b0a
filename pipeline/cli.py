"""The command line. Exit codes: 0 done; 1 failed shards or gates; 2 nothing ran; 130 stopped."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pipeline.commands.export_command import export
from pipeline.commands.gc_command import gc
from pipeline.commands.measure_command import measure
from pipeline.commands.plan_command import plan
from pipeline.commands.quick_imports import leave_out_plugins
from pipeline.commands.report_command import report
from pipeline.commands.run_command import run
from pipeline.commands.schema_command import schema
from pipeline.commands.status_command import status
from pipeline.commands.tune_command import tune
from pipeline.commands.validate_command import validate
from pipeline.commands.verify_command import verify
from pipeline.errors import Refusal, WinnowError
from pipeline.report.format import visible

# Commands of installed packages, our own steps' among them: functions that typer makes commands of.
GROUP = "winnow.commands"


class Commands(TyperGroup):
    """The engine's commands and those of installed packages, which are imported when needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_offered())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if found := super().get_command(ctx, cmd_name):
            return found
        point = _offered().get(cmd_name)
        return point and _command(point)


def _offered() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP)}


def _command(point: EntryPoint) -> Any:
    """The command behind an entry point; one that cannot be imported fails when it is run."""
    try:
        function = _imported(point)
    except Refusal as refusal:
        function = _refusing(refusal)
    made = typer.Typer(add_completion=False, rich_markup_mode=None)
    made.command(point.name)(function)
    return typer.main.get_command(made)


def _imported(point: EntryPoint) -> Callable[..., None]:
    try:
        function: Callable[..., None] = point.load()
    except Exception as error:
        message = f"the command {point.name} cannot be imported: {type(error).__name__}: {error}"
        package = point.dist.name if point.dist else point.module
        raise Refusal("broken-plugin", message, f"repair or reinstall {package}") from error
    return function


def _refusing(refusal: Refusal) -> Callable[[], None]:
    def command() -> None:
        raise refusal

    command.__doc__ = refusal.message
    return command


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"winnow {version('winnow')}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # rich takes longer to import than everything else that help needs
)

for command in (validate, plan, run, measure, tune, status, verify, export, gc, report, schema):
    app.command()(command)


@app.callback()
def winnow(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Filter, deduplicate, score and mix text, and prove which mix trains better."""


class _Stopped(BaseException):
    """Ctrl-C or a termination signal; not a KeyboardInterrupt, which the framework swallows."""


def _stop(number: int, frame: object) -> None:
    raise _Stopped


def main() -> None:
    """Run the command line; errors become messages and exit codes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without → or −
    leave_out_plugins()
    signal.signal(signal.SIGINT, _stop)
    signal.signal(signal.SIGTERM, _stop)
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
