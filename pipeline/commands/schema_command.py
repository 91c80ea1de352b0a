"""``winnow schema``."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer


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
