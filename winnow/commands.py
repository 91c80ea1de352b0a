"""What commands of installed packages (entry points ``winnow.commands``) are written with."""

from pipeline.commands.arguments import ManifestPath, OutputFolder, Overrides, RunFolder, load
from pipeline.commands.printing import print_failures, print_table
from pipeline.commands.run_command import run_loaded

__all__ = [
    "ManifestPath",
    "OutputFolder",
    "Overrides",
    "RunFolder",
    "load",
    "print_failures",
    "print_table",
    "run_loaded",
]
