"""Any filter, extractor or formatter of datatrove's as a step, with winnow's accounting."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import orjson
import pyarrow as pa
from pydantic import (
    ConfigDict,
    Field,
    JsonValue,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
)

from filters.block_arguments import (
    FOLDER,
    argument_problems,
    functions,
    named_path,
    read_arguments,
    signature,
)
from filters.block_classes import (
    PACKAGE,
    depends_on_order,
    find_block,
    is_datatroves,
    required_packages,
    settle,
)
from filters.block_runs import BlockRun, OnError, signals_of
from winnow import (
    DOCUMENT_SCHEMA,
    Docs,
    FilterResult,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    Refusal,
    RowStep,
    WinnowError,
    cached_by_files,
    code_of,
    sha256_file,
)

if TYPE_CHECKING:
    from datatrove.pipeline.base import PipelineStep

_KINDS = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "text": pa.large_string(),
}
# What a block may have written into metadata, and is a column of documents.
_OWN = ("url", "language", "metadata")


class DatatroveBlock(NamesFiles, RowStep):
    """Run a filter, extractor or formatter of datatrove's, or one written for datatrove.

    All other keys are arguments of the block's constructor, checked against its signature:
    ``datatrove: {block: GopherQualityFilter, min_stop_words: 3}``. A path is given as
    ``{file: PATH}`` or ``{folder: PATH}``, from the manifest's folder, so that its content counts;
    a function as ``FILE.py:NAME``.

    A filter drops for the reason that it gives, or for its class's name; an edit of its text or
    metadata is kept, and what it wrote is shown beside dropped documents. A formatter edits the
    text. An extractor does too, in a process of its own; a document that it finds no text in is
    dropped as ``empty``, or for ``timeout``, ``broken_process`` or ``error``. Time-outs depend on
    the machine and what else it does.

    Results must follow from each document alone. Blocks that are known to draw random numbers or to
    remember documents are refused, and so is one that answers otherwise when it is asked again. A
    step of winnow's own with the same decisions is 7 to 340 times as fast.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, JsonValue]
    # The module of the class, which names the content of a file beside the manifest. Set by
    # ``check``; "" until then.
    _module: str = PrivateAttr(default="")

    block: str = Field(
        min_length=1,
        description="class: its name alone in datatrove's filters, extractors and formatters, "
        "`module:Class` of an installed package, or `FILE.py:CLASS`",
    )
    columns: dict[str, Literal["number", "integer", "boolean", "text"]] = Field(
        {}, description="fields that the block writes into metadata → what a column of each holds"
    )
    on_error: OnError | None = Field(
        None,
        description="what an exception of the block does: `fail` the shard, or `drop` the document "
        "as `error`; by default `drop` for extractors, as in datatrove, and `fail` for others",
    )

    @property
    def arguments(self) -> dict[str, JsonValue]:
        """The arguments of the block, as the manifest has them."""
        return dict(self.__pydantic_extra__)

    def files(self) -> Mapping[Location, Path]:
        found: dict[Location, Path] = {}
        for name, value in self.arguments.items():
            if (named := named_path(value)) is None:
                continue
            key, path = named[0], self.located(Path(named[1]))
            below = sorted(p for p in path.rglob("*") if p.is_file()) if key == FOLDER else []
            found |= {(name, key, str(p.relative_to(path))): p for p in below}
            if not below:
                found[name, key] = path
        return found

    def check(self, view: ManifestView) -> Iterator[Problem]:
        missing = list(super().check(view))
        yield from missing
        for name in self.columns:
            if name in _OWN:
                message = f"what a block writes into {name!r} is in that column anyway"
                yield Problem(("columns", name), "column-exists", message, "delete it")
        try:
            block = find_block(self.block, self._folder)
        except WinnowError as error:
            yield Problem(("block",), error.code, error.message, error.hint)
            return
        self._module = block.__module__
        problems = list(argument_problems(block, self.arguments, self._folder))
        yield from problems
        if not problems and not missing:
            yield from self._check_made(block)

    def _check_made(self, kind: type[PipelineStep]) -> Iterator[Problem]:
        try:
            block = kind(**read_arguments(kind, self.arguments, self._folder))
        except Exception as error:  # noqa: BLE001 - whatever the constructor says is a problem
            message = f"{kind.__name__} cannot be made: {type(error).__name__}: {error}"
            yield Problem(("block",), "block-failed", message, signature(kind))
            return
        if hint := depends_on_order(block):
            message = f"{kind.__name__} decides by the documents that came before"
            yield Problem(("block",), "depends-on-order", message, hint)
        if getattr(block, "exclusion_writer", None) is not None:
            message = f"{kind.__name__} has an exclusion writer, which a step does not use"
            hint = "a run keeps every dropped document with its reason"
            yield Problem(("block",), "exclusion-writer", message, hint)

    def adds(self) -> dict[str, pa.DataType]:
        own = {name: DOCUMENT_SCHEMA.field(name).type for name in _OWN}
        return {**own, **{name: _KINDS[kind] for name, kind in self.columns.items()}}

    def edits_text(self) -> bool:
        """Any block may: C4's filter cuts lines."""
        return True

    def prepare(self, sample: Docs) -> None:
        # Of other code nobody knows whether it starts threads, which a fork does not survive.
        block = find_block(self.block, self._folder)
        if is_datatroves(block) and not any(functions(block, self.arguments, self._folder)):
            self._run().warm(sample)

    def filter(self, docs: Docs) -> FilterResult:
        outcomes = self._run().outcomes(docs)
        text = pa.array([o.text for o in outcomes], pa.large_string())
        columns: dict[str, pa.Array] = {
            name: pa.array([getattr(o, name) for o in outcomes], pa.large_string()) for name in _OWN
        }
        for name, kind in self.columns.items():
            columns[name] = pa.array([o.written.get(name) for o in outcomes], _KINDS[kind])
        return FilterResult(
            keep=np.array([not o.reason for o in outcomes], dtype=np.bool_),
            reason=[o.reason for o in outcomes],
            signals=signals_of(outcomes),
            columns=columns,
            text=None if text.equals(docs.text) else text,  # what later steps derive of it stays
        )

    def _run(self) -> BlockRun:
        arguments = orjson.dumps(self.arguments, option=orjson.OPT_SORT_KEYS)
        recipe = _Recipe(self.block, self._module, self._folder, arguments, self.on_error)
        return _at_work(recipe, tuple(self.files().values()))

    @model_serializer(mode="wrap", when_used="json")
    def _with_contents(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Parameters, with the versions and the digests of code and files that decide results."""
        values: dict[str, Any] = handler(self)
        contents = {
            ".".join(map(str, place)): sha256_file(path)
            for place, path in self.files().items()
            if path.is_file()
        }
        block = find_block(self.block, self._folder)
        for package in (PACKAGE, *(name for _, name in required_packages(block))):
            contents[f"version of {package}"] = _version(package)
        own: list[type | Callable[..., Any]] = [] if is_datatroves(block) else [block]
        for thing in (*own, *functions(block, self.arguments, self._folder)):
            contents |= dict(code_of(thing))
        return {**values, "contents": contents}


@dataclass(frozen=True)
class _Recipe:
    """What a block is made from; ``arguments`` are JSON, ``module`` may be unknown ("")."""

    block: str
    module: str
    folder: Path
    arguments: bytes
    on_error: OnError | None


@cached_by_files(maxsize=64)
def _at_work(recipe: _Recipe, files: tuple[Path, ...]) -> BlockRun:
    """The block of this process; its arguments name ``files``."""
    kind = find_block(recipe.block, recipe.folder)
    if recipe.module not in ("", kind.__module__):
        message = f"the file of {recipe.block} was edited during the run"
        raise Refusal("block-changed", message, "plan and run again")
    given = cast(dict[str, JsonValue], orjson.loads(recipe.arguments))
    block = kind(**read_arguments(kind, given, recipe.folder))
    if is_datatroves(kind):
        settle(block)
    return BlockRun(block, recipe.on_error)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
