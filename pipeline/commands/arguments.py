"""The arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
