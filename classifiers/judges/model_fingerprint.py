"""What a model's folder holds, at a glance: enough to see that it is another model, in no time."""

from __future__ import annotations

from pathlib import Path

import xxhash

from classifiers.judges.judge_identity import Spec, model_files
from classifiers.labelling.label_config import EndpointSpec

# Of a large file (weights) BLOCKS pieces are read, spread evenly, beside its size.
BLOCK = 64 * 2**10
BLOCKS = 16


def model_fingerprint(server: Spec, folder: Path) -> dict[str, str]:
    """A digest of the model's folder and of the tokenizer's, by the parameter that names it;
    ``folder`` is the manifest's. What labels are bought of is pinned by whole files (identity.py).
    """
    named = {"model": server.model}
    if isinstance(server, EndpointSpec) and server.tokenizer:
        named["tokenizer"] = server.tokenizer
    return {
        name: _of_folder(folder / value)
        for name, value in named.items()
        if (folder / value).is_dir()
    }


def _of_folder(folder: Path) -> str:
    seen = xxhash.xxh3_128()
    for name, path in model_files(folder).items():
        size = path.stat().st_size
        seen.update(f"{name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= BLOCK * BLOCKS:
                seen.update(file.read())
                continue
            for number in range(BLOCKS):
                file.seek((size - BLOCK) * number // (BLOCKS - 1))
                seen.update(file.read(BLOCK))
    return seen.hexdigest()
