"""Files that are named by URLs, through fsspec: listed, opened and told apart by version.

What libraries raise becomes one of a few codes, with what to do about it. Values of secrets are
looked up when a store is spoken to, and are in no message.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, TypeVar

import orjson
from pydantic import JsonValue

from pipeline.errors import ShardError
from pipeline.sources.source import InputFile

PROTOCOLS = ("s3", "gs", "hf", "https", "http", "memory")
_PACKAGES = {"s3": "pip install 'winnow[s3]'", "gs": "pip install gcsfs"}
SECRET = re.compile(r"\$\{secret:([A-Za-z_][A-Za-z0-9_]*)\}")

# What is asked for at once: long enough that a store's latency does not count, short enough that
# some of it in memory for each worker does not either.
BLOCK_BYTES = 8 * 2**20
# Between tries of a read that a store did not answer; the libraries try again themselves too.
WAITS_S = (0.5, 2.0, 8.0)
# What stores call the version of an object, the surest first.
_VERSIONS = ("ETag", "etag", "generation", "blob_id", "sha256", "md5Hash")
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created")

UNREACHABLE = "store-unreachable"

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectStore:
    """The stores that URLs name. ``options`` go to fsspec; secrets in them are still references.

    Whatever goes wrong is a ShardError.
    """

    options: Mapping[str, JsonValue]

    def matching(self, pattern: str) -> list[InputFile]:
        """What a URL with or without wildcards matches now, sorted."""
        with _Asking(self, pattern):
            fs, path = self._filesystem(pattern)
            fs.invalidate_cache()
            found = _matching(fs, path) if _is_glob(pattern) else [fs.info(path)]
            files = [_listed(fs, info) for info in found if info["type"] == "file"]
        return sorted(files, key=lambda file: file.name)

    def info(self, url: str) -> InputFile:
        """The object as it is now."""
        with _Asking(self, url):
            fs, path = self._filesystem(url)
            fs.invalidate_cache(fs._parent(path))
            return _listed(fs, fs.info(path))

    def open(self, file: InputFile) -> ObjectFile:
        with _Asking(self, file.path):
            fs, path = self._filesystem(file.path)
            opened = fs.open(path, "rb", block_size=BLOCK_BYTES, cache_type="readahead")
        return ObjectFile(self, file, opened)

    def hidden(self, message: str) -> str:
        """The message with references for secrets."""
        for name in self.secrets():
            if value := os.environ.get(name):
                message = message.replace(value, f"${{secret:{name}}}")
        return message

    def secrets(self) -> list[str]:
        """The environment variables that the options refer to as secrets."""
        return sorted(set(SECRET.findall(orjson.dumps(dict(self.options)).decode())))

    def _filesystem(self, url: str) -> tuple[Any, str]:
        protocol = url.partition("://")[0]
        if protocol not in PROTOCOLS or "::" in url:
            raise ShardError(
                "unknown-protocol",
                f"{url} is on no store that is read here",
                f"write a path, or a URL with one of {', '.join(PROTOCOLS)}",
            )
        return _filesystem(protocol, orjson.dumps(_filled(self.options)).decode(), url)


@lru_cache(maxsize=1)
def _fsspec() -> Any:
    import fsspec

    return fsspec


def _filesystem(protocol: str, options: str, url: str) -> tuple[Any, str]:
    try:
        return _fsspec().core.url_to_fs(url, **orjson.loads(options))  # type: ignore[no-any-return]
    except ImportError as error:
        hint = _PACKAGES.get(protocol, "install the package that it names")
        raise ShardError(
            "missing-package", f"{protocol}:// needs a package: {error}", hint
        ) from error


def _filled(value: Any) -> Any:
    """The options with the values of secrets."""
    if isinstance(value, Mapping):
        return {key: _filled(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner) for inner in value]
    if isinstance(value, str):
        return SECRET.sub(lambda match: os.environ.get(match[1], ""), value)
    return value


def _is_glob(pattern: str) -> bool:
    # A question mark begins the query of a URL of the web.
    web = pattern.startswith(("http://", "https://"))
    return any(mark in pattern for mark in ("*[" if web else "*?["))


def _matching(fs: Any, path: str) -> Iterator[dict[str, Any]]:
    """What a path with wildcards matches.

    ``fs.glob`` takes a store that refuses or is gone for one that has nothing, so folders are
    listed here, each by one call that raises.
    """
    if "http" in fs.protocol:  # pages with links, and no word on what they lead to
        yield from map(fs.info, fs.glob(path))
        return
    wild = next(n for n, mark in enumerate(path) if mark in "*?[")
    root, _, rest = path[:wild].rpartition("/")
    rest += path[wild:]
    if "**" in rest:
        matches = re.compile(_fsspec().utils.glob_translate(path)).match
        found = fs.find(root, detail=True)
        yield from (info for name, info in found.items() if matches(name))
    else:
        yield from _below(fs, root, rest.split("/"))


def _below(fs: Any, folder: str, parts: Sequence[str]) -> Iterator[dict[str, Any]]:
    first, *others = parts
    for info in fs.ls(folder, detail=True):
        name, is_folder = info["name"].rstrip("/"), info["type"] == "directory"
        if fnmatchcase(name.rpartition("/")[2], first) and is_folder == bool(others):
            if others:
                yield from _below(fs, name, others)
            else:
                yield info


def _listed(fs: Any, info: Mapping[str, Any]) -> InputFile:
    url, size = fs.unstrip_protocol(info["name"]), info.get("size")
    if size is None:
        raise ShardError(
            "no-size",
            f"{url}: the server does not say how large it is",
            "download it, and read that",
        )
    for key in _VERSIONS:
        if info.get(key):
            return InputFile(
                url, url, size, f"{size} bytes, {key.lower()} {info[key]}".replace('"', "")
            )
    times = [_time(info[key]) for key in _TIMES if info.get(key)]
    return InputFile(url, url, size, f"{size} bytes of {times[0]}" if times else f"{size} bytes")


def _time(value: Any) -> str:
    if isinstance(value, int | float):
        value = datetime.fromtimestamp(value, UTC)
    return str(value)


class ObjectFile:
    """Reads an object, tries again what fails on the way, and does not take less than was listed
    for the end."""

    def __init__(self, store: ObjectStore, file: InputFile, opened: Any) -> None:
        self._store, self._file, self._opened = store, file, opened
        self._at = 0

    def seek(self, place: int) -> None:
        self._at = place

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; none at the end. Raises ShardError."""
        if self._at >= self._file.size:
            return b""
        chunk = self._tried(lambda: self._read(size))
        if not chunk:
            raise ShardError(
                "object-too-short",
                f"{self._file.name} ends after {self._at} bytes and was listed with "
                f"{self._file.size}",
                "the upload may not have been complete: write the object again, and run again",
            )
        self._at += len(chunk)
        return chunk

    def _read(self, size: int) -> bytes:
        self._opened.seek(self._at)
        return bytes(self._opened.read(min(size, self._file.size - self._at)))

    def _tried(self, read: Callable[[], T]) -> T:
        for wait in (*WAITS_S, None):
            try:
                with _Asking(self._store, self._file.path):
                    return read()
            except ShardError as error:
                if wait is None or error.code != UNREACHABLE:
                    raise
                time.sleep(wait * random.uniform(0.5, 1.5))
        raise AssertionError

    def close(self) -> None:
        self._opened.close()


class _Asking:
    """Turns what libraries raise into a ShardError."""

    def __init__(self, store: ObjectStore, url: str) -> None:
        self._store, self._url = store, url

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if not isinstance(error, Exception) or isinstance(error, ShardError):
            return
        code, hint = _meaning(error)
        said = self._store.hidden(f"{self._url}: {type(error).__name__}: {error}")
        # Without its cause, whose text may hold what is hidden here.
        raise ShardError(code, said, hint) from None


def _meaning(error: Exception) -> tuple[str, str]:
    """Code and hint for what a library raised."""
    kind, status = type(error).__name__, getattr(error, "status", None)
    if isinstance(error, FileNotFoundError) or status in (404, 410):
        return "no-such-object", "check the bucket and the name"
    denied = isinstance(error, PermissionError) or status in (401, 403)
    if denied or "Credentials" in kind or kind in ("GatedRepoError", "RepositoryNotFoundError"):
        return "not-permitted", (
            "give credentials as the store's own tools expect them (environment or configuration), "
            "or as ${secret:NAME} in storage_options"
        )
    if kind == "FileExpired":
        return "input-changed", (
            "leave the input alone while it is read, and run again to plan with what is there now"
        )
    return UNREACHABLE, "check the address (endpoint_url in storage_options) and the network"
