"""Steps whose parameters name files: where these are, whether they can be read, what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import PrivateAttr, SerializerFunctionWrapHandler, model_serializer

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Problem
from pipeline.step import ManifestView, Step

Location = tuple[str | int, ...]


class NamesFiles(Step):
    """Mixed into steps with parameters that are paths, relative to the manifest's folder.

    In JSON, which fingerprints are made of, a step carries the sha256 of each file: one that was
    edited makes another step, one that was moved does not.
    """

    # Not a parameter, and so in no fingerprint. Set by ``check``; the current directory until then.
    _folder: Path = PrivateAttr(default=Path())

    def files(self) -> Mapping[Location, Path]:
        """Where each file is, by the place of the parameter that names it."""
        raise NotImplementedError(f"{type(self).__name__}.files")

    def missing(self, place: Location, path: Path) -> Problem:
        """What to say of a file that is not there."""
        name = self._written(path)
        message, hint = f"there is no file '{name}'", "paths begin at the manifest's folder"
        return Problem(place, "no-file", message, hint)

    def located(self, path: Path) -> Path:
        """Where a file is that the manifest names."""
        return self._folder / path

    def check(self, view: ManifestView) -> Iterator[Problem]:
        self._folder = view.folder
        for place, path in self.files().items():
            if not path.is_file():
                yield self.missing(place, path)

    def _written(self, path: Path) -> str:
        return str(path.relative_to(self._folder) if path.is_relative_to(self._folder) else path)

    @model_serializer(mode="wrap", when_used="json")
    def _with_contents(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        contents = {
            ".".join(map(str, place)): _digest(path, path.stat().st_size, path.stat().st_mtime_ns)
            for place, path in self.files().items()
            if path.is_file()
        }
        return {**values, "contents": contents} if contents else values


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, modified: int) -> str:
    return sha256_file(path)


def packaged(package: str, *names: str) -> Path | None:
    """A file of an installed package, which is not imported; None when there is no such package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent.joinpath(*names)
