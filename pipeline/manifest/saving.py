"""Writes ``--set`` values into a manifest's file."""

from __future__ import annotations

import difflib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from pipeline.errors import ManifestError, Refusal
from pipeline.manifest.loading import load_manifest
from pipeline.manifest.overrides import parse_override
from pipeline.manifest.yaml_editor import with_value

_BOM: Final = "\ufeff"


def write_values(path: Path, overrides: Sequence[str]) -> list[tuple[str, str]]:
    """Write ``--set`` values into the manifest file; (line before, line after) that changed.

    The new text must read as the manifest with these overrides does, and be valid, before it
    replaces the file in one step. Raises Refusal when it would not or the file cannot be written,
    ManifestError when an override is wrong.
    """
    wanted = load_manifest(path, overrides)
    target = path.resolve()  # a link stays a link
    raw = target.read_bytes().decode("utf-8")
    bom, text = (_BOM, raw[1:]) if raw.startswith(_BOM) else ("", raw)
    new = text
    for number, override in enumerate(overrides, 1):
        new = with_value(new, parse_override(number, override))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.yaml")
    try:
        temporary.write_bytes((bom + new).encode())
        if _values(temporary) != wanted.values:
            message = f"{path} is written in a way that --write cannot edit"
            raise Refusal("cannot-write", message, "set the values by hand; nothing was changed")
        shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise Refusal("manifest-not-writable", message, "nothing was changed") from error
    finally:
        temporary.unlink(missing_ok=True)
    return _changed_lines(text, new)


def _values(path: Path) -> dict[str, JsonValue] | None:
    """The values of a manifest; None when it is wrong."""
    try:
        return load_manifest(path).values
    except ManifestError:
        return None


def _changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    """The lines that differ, "" for one that was not there."""
    old, new = before.splitlines(), after.splitlines()
    changes = []
    for tag, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if tag != "equal":
            width = max(b - a, d - c)
            gone, come = ([*part, *[""] * (width - len(part))] for part in (old[a:b], new[c:d]))
            changes += list(zip(gone, come, strict=True))
    return changes
