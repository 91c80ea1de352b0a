"""``winnow export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pipeline.commands.arguments import RunFolder


def export(
    output: RunFolder,
    to: Annotated[Path, typer.Option("--to", help="A new folder for the files.")],
    dropped: Annotated[
        bool,
        typer.Option("--dropped", help="What steps dropped, by stage, with reasons and signals."),
    ] = False,
    format: Annotated[
        Literal["parquet", "jsonl"], typer.Option("--format", help="Of the files.")
    ] = "parquet",
) -> None:
    """Write the documents that a run kept or dropped into a folder of their own."""
    from pipeline.engine.export import export as export_shards
    from pipeline.engine.run_documents import dropped_documents, kept_documents

    shards = dropped_documents(output) if dropped else kept_documents(output)
    files, documents = export_shards(shards, to, format, by_stage=dropped)
    print(f"{documents:,} documents in {files:,} files under {to}")
