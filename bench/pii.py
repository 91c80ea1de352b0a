"""Personal data found by us and by datatrove, against annotated text.

    python bench/pii.py TRUTH.jsonl.zst [--ordinary FILE.jsonl.zst...] [--megabytes N] [--json]

Each line of TRUTH has ``full_text`` and ``spans`` with ``entity_type``, ``start_position`` and
``end_position``, as microsoft/presidio-research writes them. A find counts when it has exactly an
annotated span of its type. Of ordinary text, where nothing is annotated, the finds per megabyte
are counted: real addresses and numbers that stand there are among them.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson
import pyarrow as pa
import zstandard
from datatrove.pipeline.formatters.pii import PIIFormatter

from kernels.pii.pii_scan import KINDS, find

ENTITIES = {
    "EMAIL_ADDRESS": "email",
    "IP_ADDRESS": "ip",
    "PHONE_NUMBER": "phone",
    "IBAN_CODE": "iban",
    "CREDIT_CARD": "card",
}

Span = tuple[str, int, int]


@dataclass
class Score:
    """Finds of one kind that are right, that are wrong, and what was missed."""

    right: int = 0
    wrong: int = 0
    missed: int = 0

    @property
    def precision(self) -> float:
        return self.right / max(self.right + self.wrong, 1)

    @property
    def recall(self) -> float:
        return self.right / max(self.right + self.missed, 1)

    @property
    def f1(self) -> float:
        return 2 * self.right / max(2 * self.right + self.wrong + self.missed, 1)

    def told(self) -> dict[str, float]:
        return {**asdict(self), "precision": self.precision, "recall": self.recall, "f1": self.f1}


@dataclass
class Ordinary:
    """Finds in text that nobody annotated, and seconds of CPU."""

    file: str
    megabytes: float
    ours: dict[str, int]
    datatrove: dict[str, int]
    ours_seconds: float
    datatrove_seconds: float

    def line(self) -> str:
        sides = []
        for name, counts, seconds in (
            ("ours", self.ours, self.ours_seconds),
            ("datatrove", self.datatrove, self.datatrove_seconds),
        ):
            rates = ", ".join(f"{kind} {n / self.megabytes:.2f}" for kind, n in counts.items())
            sides.append(f"{name} {rates} per MB at {self.megabytes / max(seconds, 1e-9):.0f} MB/s")
        return f"{self.file} ({self.megabytes:.1f} MB): {'; '.join(sides)}"


def rows_of(path: Path) -> Iterator[dict[str, object]]:
    with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
        for line in io.BufferedReader(stream):
            yield orjson.loads(line)


def ours(texts: Sequence[str]) -> list[set[Span]]:
    """What we find in each text; positions in characters."""
    found = find(pa.array(texts, pa.large_string()))
    spans = []
    for row, text in enumerate(texts):
        raw = text.encode()
        spans.append(
            {
                (kind, len(raw[:start].decode()), len(raw[:end].decode()))
                for kind, start, end in found.spans(row)
            }
        )
    return spans


def datatroves(texts: Sequence[str]) -> list[set[Span]]:
    """What datatrove's formatter would replace: e-mail addresses, then IP addresses."""
    formatter = PIIFormatter()
    replacers = {"email": formatter.emails_replacer, "ip": formatter.ip_replacer}
    return [
        {
            (kind, match.start(), match.end())
            for kind, replacer in replacers.items()
            for match in replacer.regex.finditer(text)
            if replacer.validator is None or replacer.validator(match.group())
        }
        for text in texts
    ]


def score(found: Sequence[set[Span]], truth: Sequence[set[Span]]) -> dict[str, Score]:
    scores = {kind: Score() for kind in KINDS}
    for mine, true in zip(found, truth, strict=True):
        for kind, *_ in mine & true:
            scores[kind].right += 1
        for kind, *_ in mine - true:
            scores[kind].wrong += 1
        for kind, *_ in true - mine:
            scores[kind].missed += 1
    return scores


def measure_ordinary(path: Path, megabytes: float) -> Ordinary:
    texts: list[str] = []
    size = 0
    for row in rows_of(path):
        texts.append(str(row["text"]))
        size += len(texts[-1].encode())
        if size > megabytes * 1e6:
            break
    array = pa.array(texts, pa.large_string())
    before = time.process_time()
    found = find(array)
    between = time.process_time()
    theirs = datatroves(texts)
    after = time.process_time()
    kinds = [kind for spans in theirs for kind, *_ in spans]
    return Ordinary(
        path.name,
        size / 1e6,
        {kind: int(found.counts(i).sum()) for i, kind in enumerate(KINDS)},
        {kind: kinds.count(kind) for kind in ("email", "ip")},
        between - before,
        after - between,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("truth", type=Path)
    parser.add_argument("--ordinary", nargs="*", type=Path, default=[])
    parser.add_argument("--megabytes", type=float, default=3, help="of each ordinary file")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = list(rows_of(arguments.truth))
    texts = [str(row["full_text"]) for row in rows]
    truth: list[set[Span]] = [
        {
            (ENTITIES[span["entity_type"]], span["start_position"], span["end_position"])
            for span in row["spans"]  # type: ignore[attr-defined]
            if span["entity_type"] in ENTITIES
        }
        for row in rows
    ]
    sides = {"ours": score(ours(texts), truth), "datatrove": score(datatroves(texts), truth)}
    ordinary = [measure_ordinary(path, arguments.megabytes) for path in arguments.ordinary]
    if arguments.json:
        told = {side: {k: s.told() for k, s in found.items()} for side, found in sides.items()}
        print(json.dumps({**told, "ordinary": [asdict(o) for o in ordinary]}, indent=1))
        return 0
    for kind in KINDS:
        for side, found in sides.items():
            s = found[kind]
            if side == "ours" or s.right + s.wrong:
                print(
                    f"{kind:6} {side:10} precision {s.precision:.3f} recall {s.recall:.3f} "
                    f"F1 {s.f1:.3f} ({s.right} right, {s.wrong} wrong, {s.missed} missed)"
                )
    for line in ordinary:
        print(line.line())
    return 0


if __name__ == "__main__":
    sys.exit(main())
