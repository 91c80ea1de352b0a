"""Steps whose parameters name files: where these are, whether they can be read, what they hold."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache, wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple

from pydantic import PrivateAttr, SerializerFunctionWrapHandler, model_serializer

from pipeline.engine.fingerprint import sha256_file
from pipeline.errors import Problem
from pipeline.step import Location, ManifestView, Step

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


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
            ".".join(map(str, place)): _digest(path)
            for place, path in self.files().items()
            if path.is_file()
        }
        return {**values, "contents": contents} if contents else values


def cached_by_files(maxsize: int) -> Callable[[Callable[[*Ts], T]], Callable[[*Ts], T]]:
    """Remembers what a function makes of its arguments, at most ``maxsize`` results, as
    ``functools.lru_cache`` does, and forgets a result when one of the files has changed.

    Files are the arguments that are a ``Path``, or a tuple of them. One has changed when it has
    another size or time of change.
    """

    def decorate(make: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
        @lru_cache(maxsize=maxsize)
        def remembered(states: Hashable, *args: *Ts) -> T:
            return make(*args)

        @wraps(make)
        def wrapped(*args: *Ts) -> T:
            return remembered(tuple(map(_state, args)), *args)

        return wrapped

    return decorate


def _state(argument: object) -> Hashable:
    """What tells whether the files of an argument have changed; None where there are none."""
    if isinstance(argument, Path):
        found = argument.stat()
        return found.st_size, found.st_mtime_ns
    return tuple(map(_state, argument)) if isinstance(argument, tuple) else None


@cached_by_files(maxsize=256)
def _digest(path: Path) -> str:
    return sha256_file(path)


def packaged(package: str, *names: str) -> Path | None:
    """A file of an installed package, which is not imported; None when there is no such package."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent.joinpath(*names)
