"""Who a judge is and what it is asked, as digests: together with a document they key a label."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
import xxhash

from classifiers.judges.judge_config import EndpointSpec, TransformersSpec, Truncation, VllmSpec
from classifiers.judges.rubric import Rubric
from winnow import Refusal, digest, sha256_file

Spec = VllmSpec | EndpointSpec | TransformersSpec
# Raise it whenever a word in prompts.py changes: labels asked for in other words are others.
TEMPLATE_VERSION = 1
# Options of a server that change what a model answers.
_DECIDING = (
    "dtype",
    "quantization",
    "kv-cache-dtype",
    "hf-overrides",
    "rope-scaling",
    "load-format",
)


def model_files(folder: Path) -> dict[str, Path]:
    """The files that make a model, by name: everything in its folder but hidden files."""
    return {
        path.name: path
        for path in sorted(folder.iterdir())
        if path.is_file() and not path.name.startswith(".")
    }


def folder_revision(folder: Path) -> str:
    """A digest of all files of a model's folder."""
    return digest({name: sha256_file(path) for name, path in model_files(folder).items()})


def revision_of(spec: Spec, folder: Path) -> str:
    """What pins the model: a digest of its folder, or the revision that the manifest names.

    Raises Refusal when the folder is not what the manifest pins.
    """
    path = spec.model_folder(folder)
    if path is None:
        return spec.revision
    found = folder_revision(path)
    if not found.startswith(spec.revision):
        message = f"{spec.model} holds revision {found[:12]}, the manifest pins {spec.revision}"
        hint = "restore the model, or pin the one that is there: other labels, bought anew"
        raise Refusal("model-changed", message, hint)
    return found


def model_name(spec: Spec) -> str:
    """How the store calls the model, on every machine alike: a folder by its last part."""
    is_path = spec.model.startswith((".", "/", "~"))
    return Path(spec.model).name if is_path else spec.model


def judge_id(spec: Spec, revision: str, tokenizer: str) -> str:
    """A judge is a model, its revision, its tokenizer and template, and how it is run."""
    given = spec.args if isinstance(spec, VllmSpec) else {}
    dashed = {name.replace("_", "-"): value for name, value in given.items()}  # vllm takes both
    args = {name: value for name, value in dashed.items() if name in _DECIDING}
    return digest([model_name(spec), revision, tokenizer, dict(spec.template_args), args])[:32]


@dataclass(frozen=True)
class Wording:
    """How a judge is asked: everything that decides an answer besides judge and document.

    ``limit`` is the most tokens of a document and ``keep`` what stays of a longer one;
    ``rationale_tokens`` above 0 asks for reasons first; ``reverse`` names labels backwards.
    """

    rubric: Rubric
    limit: int
    keep: Truncation = "head"
    rationale_tokens: int = 0
    reverse: bool = False

    @property
    def settings(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "rubric": self.rubric.model_dump(mode="json", exclude_none=True),
            "template": TEMPLATE_VERSION,
            "max_tokens": self.limit,
            "truncate": self.keep,
            "rationale_tokens": self.rationale_tokens,
            "temperature": 0,
            "reverse": self.reverse,
        }

    @cached_property
    def id(self) -> str:
        # As text, for the order of categories decides which letter stands for which.
        return digest(orjson.dumps(self.settings).decode())[:32]


def label_key(judge: str, request: str, document: bytes, repeat: int = 0) -> bytes:
    """32 bytes; ``repeat`` above 0 is the same question asked once more on purpose."""
    whole = b"\0".join([judge.encode(), request.encode(), document, str(repeat).encode()])
    return hashlib.sha256(whole).digest()


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
