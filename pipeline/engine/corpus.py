"""Paths that stay, in a run's folder, for what lies in the store under fingerprints.

``corpus/SOURCE/SHARD.parquet`` are the documents that the steps left, and ``artifacts/STEP/`` what
a global step found (a student, for one). All are links, so each document is there once.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from pipeline.engine.stage import KEPT, Stage

CORPUS = "corpus"
ARTIFACTS = "artifacts"


def link_corpus(output: Path, corpus: Stage) -> Path:
    """Make the folder anew from what ``corpus`` kept, and return it.

    Shards without documents have no file there. The folder is put together beside its place and
    moved, so that a reader meets the old corpus or the new one.
    """
    made = output / f".{CORPUS}.tmp"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for receipt in corpus.outputs.receipts():
        for found in receipt.outputs:
            if not found.path.startswith(KEPT) or not found.rows:
                continue
            source, _, shard = receipt.key.rpartition("-")
            (made / source).mkdir(exist_ok=True)
            target = corpus.outputs.folder(receipt.key) / found.path
            start = output / CORPUS / source
            link = made / source / f"{shard}.parquet"
            link.symlink_to(os.path.relpath(target.absolute(), start.absolute()))
    folder = output / CORPUS
    shutil.rmtree(folder, ignore_errors=True)
    made.replace(folder)
    return folder


def link_artifacts(output: Path, label: str, folder: Path) -> None:
    """Link ``artifacts/LABEL`` to the folder in the store that holds what the step found."""
    link = output / ARTIFACTS / label
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink():
        shutil.rmtree(link)  # a run folder that was copied with what its links lead to
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(folder.absolute(), link.parent.absolute()))
