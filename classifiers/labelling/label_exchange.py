"""Labels carried from one machine to another: JSON lines, compressed by zstd.

The first line names the kind of file; then judges, requests and labels, each line by itself. The
ledger stays where the money was spent.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import orjson
import pyarrow as pa

from classifiers.judges.answers import Answer
from classifiers.judges.judge_identity import label_key
from classifiers.labelling.label_store import LabelStore, Stored, read_answer, write_answer
from winnow import Refusal

HEADER = {"winnow_labels": 1}
SLACK = 1e-3  # of probabilities that were written as 32-bit numbers
JUDGE = ("judge", "model", "revision", "tokenizer", "probe")


@dataclass(frozen=True)
class ImportCounts:
    """What an import found: labels that were ``new``, ``known`` ones, and those of the known
    with a ``different`` answer here, which stay as they are."""

    new: int = 0
    known: int = 0
    different: int = 0


def export_labels(store: LabelStore, path: Path) -> int:
    """Write every label of the store, and what its keys mean; how many labels.

    The file is whole or not there. Raises Refusal when it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        count = _write(store, partial)
        partial.replace(path)
    except OSError as error:
        hint = "name a file in a folder that can be written"
        raise Refusal("no-export", f"{path} cannot be written: {error}", hint) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return count


def _write(store: LabelStore, path: Path) -> int:
    count = 0
    with pa.CompressedOutputStream(str(path), "zstd") as file:

        def line(value: object) -> None:
            file.write(orjson.dumps(value) + b"\n")

        line(HEADER)
        for row in store.rows("judges"):
            line(dict(zip(JUDGE, row, strict=True)))
        for request, settings in store.rows("requests"):
            line({"request": request, "settings": settings})
        for label in store.labels():
            count += 1
            line(
                {
                    "key": _text(label.key),
                    "by": label.judge,
                    "of": label.request,
                    "document": _text(label.document),
                    "repeat": label.repeat,
                    "answer": orjson.Fragment(write_answer(label.answer)),
                    "prompt_tokens": label.prompt_tokens,
                    "completion_tokens": label.completion_tokens,
                }
            )
    return count


def import_labels(store: LabelStore, path: Path) -> ImportCounts:
    """Add the labels of a file to the store; all of them, or none when a line is wrong.

    Raises Refusal naming the line.
    """
    lines = _lines(path)
    number, header = next(lines, (0, None))
    if header != HEADER:
        _wrong(path, max(number, 1), "this is no export of winnow's labels, or of another version")
    judges: list[tuple[Any, ...]] = []
    requests: list[tuple[Any, ...]] = []
    labels: list[Stored] = []
    for number, value in lines:
        try:
            if "judge" in value:
                judges.append(_texts(value, JUDGE))
            elif "request" in value:
                requests.append(_texts(value, ("request", "settings")))
            else:
                labels.append(_label(value))
        except (KeyError, TypeError, ValueError) as error:
            _wrong(path, number, f"not a label: {type(error).__name__} {error}")
    known = store.find([label.key for label in labels])
    different = sum(
        write_answer(known[label.key].answer) != write_answer(label.answer)
        for label in labels
        if label.key in known
    )
    store.add_all(judges, requests, labels)
    return ImportCounts(len(labels) - len(known), len(known), different)


def _texts(value: dict[str, Any], names: Sequence[str]) -> tuple[str | None, ...]:
    found = tuple(value[name] for name in names)
    for name, text in zip(names, found, strict=True):
        if not isinstance(text, str) and (name, text) != ("probe", None):
            raise TypeError(f"{name} is no text")
    return found


def _label(value: dict[str, Any]) -> Stored:
    label = Stored(
        _bytes(value["key"]),
        str(value["by"]),
        str(value["of"]),
        _bytes(value["document"]),
        int(value["repeat"]),
        read_answer(orjson.dumps(value["answer"]).decode()),
        int(value["prompt_tokens"]),
        int(value["completion_tokens"]),
    )
    if label.key != label_key(label.judge, label.request, label.document, label.repeat):
        raise ValueError("its key is another label's")
    _check_answer(label.answer)
    return label


def _check_answer(answer: Answer) -> None:
    """A key is no check of the answer that it leads to. Raises ValueError."""
    for name, label in answer.labels.items():
        p = label.probabilities
        # False for NaN too.
        if not (len(p) > 1 and all(0 <= x <= 1 for x in p) and abs(sum(p) - 1) < SLACK):
            raise ValueError(f"{name} has no probabilities that add up to 1")
        if not 0 <= label.mass <= 1:
            raise ValueError(f"the mass of {name} is {label.mass}")
    if not isinstance(answer.errors, dict) or not isinstance(answer.rationale, str):
        raise ValueError("errors are a mapping and a rationale is text")
    if not all(isinstance(code, str) for code in answer.errors.values()):
        raise ValueError("errors are codes")


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    pause, number = b"", 0
    try:
        with pa.CompressedInputStream(str(path), "zstd") as file:
            while block := file.read(2**20):
                *whole, pause = (pause + block).split(b"\n")
                for line in whole:
                    number += 1
                    yield number, orjson.loads(line)
    except FileNotFoundError:
        raise Refusal("no-file", f"there is no file '{path}'", "name an export") from None
    except (OSError, ValueError) as error:
        _wrong(path, number, f"cannot be read: {error}")
    if pause:
        _wrong(path, number + 1, "the file ends within a line")


def _wrong(path: Path, line: int, message: str) -> NoReturn:
    hint = "make the file with winnow label --export FILE; nothing was imported"
    raise Refusal("bad-labels", f"{path}:{line}:1 {message}", hint)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(value: str) -> bytes:
    return base64.b64decode(value, validate=True)
