"""What decontamination finds of evaluation items planted in documents, and what it finds besides.

    python bench/decontamination.py EVALS DOMAINS [--items N] [--seed N] [--json]
        [--set min_overlap=0.6 …]

EVALS and DOMAINS are folders of ``*.jsonl.zst``. Every item (or N of each set) is planted once per
kind of edit: it is put between two words of a document, and looked for. Then the documents are
searched as they are. An item is its question and, where it has one, the right answer. Everything
random comes from the seed. Times are CPU seconds of this process. Exit code 1 when a verbatim item
of ``min_words`` words or more was not found.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import string
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from filters.decontaminate import Decontaminate
from kernels.text.normalisation import normalise
from kernels.words.vocabulary import Vocabulary
from pipeline.documents import Docs
from winnow.testing import warm_up

ROWS = 4_096
CARRIER = 600  # characters of the document that an item is planted in
PUNCTUATION = re.compile(r"[!\"#$%&()*+,./:;<=>?@\[\\\]^_`{|}~-]")


def replaced(text: str, count: int, rng: random.Random, words: Sequence[str]) -> str:
    """``count`` of its words, letters in them, replaced by others."""
    parts = re.split(r"(\s+)", text)
    places = [i for i, part in enumerate(parts) if any(map(str.isalpha, part))]
    for i in rng.sample(places, min(count, len(places))):
        parts[i] = rng.choice(words)
    return "".join(parts)


def inserted(text: str, rng: random.Random, words: Sequence[str]) -> str:
    parts = text.split(" ")
    parts.insert(rng.randrange(len(parts) + 1), rng.choice(words))
    return " ".join(parts)


def left_out(text: str, rng: random.Random) -> str:
    parts = text.split(" ")
    parts.pop(rng.randrange(len(parts)))
    return " ".join(parts)


Edit = Callable[[str, random.Random, Sequence[str]], str]
# Marks and spaces that say the same, or nothing.
MARKS, GAPS = ("", ";", " – ", "…", " / "), ("  ", "\n", "\t", "\n\n", "\u00a0")
EDITS: dict[str, Edit] = {
    "verbatim": lambda text, rng, words: text,
    "case": lambda text, rng, words: rng.choice([text.upper(), text.lower(), text.title()]),
    "white space": lambda text, rng, words: re.sub(r"\s+", lambda _: rng.choice(GAPS), text),
    "punctuation changed": lambda text, rng, words: re.sub(
        r"(?<=\w)[.,;:!?](?=\s|$)", lambda _: rng.choice(MARKS), text.replace("'", "’")
    ),
    "punctuation deleted": lambda text, rng, words: text.translate(
        dict.fromkeys(map(ord, string.punctuation))
    ),
    "punctuation to spaces": lambda text, rng, words: PUNCTUATION.sub(" ", text.replace("'", "")),
    "numbers changed": lambda text, rng, words: re.sub(
        r"\d+(?:[.,]\d+)*", lambda _: str(rng.randrange(10_000)), text
    ),
    "one word replaced": lambda text, rng, words: replaced(text, 1, rng, words),
    "two words replaced": lambda text, rng, words: replaced(text, 2, rng, words),
    "one word put in": inserted,
    "one word left out": lambda text, rng, words: left_out(text, rng),
}


@dataclass
class Planted:
    """Items of one set with one kind of edit. ``found`` documents were dropped because of an item
    of this set, ``named`` of them because of this very item (or one with the same words)."""

    evaluation: str
    kind: str
    items: int = 0
    found: int = 0
    named: int = 0
    missed: list[str] = field(default_factory=list)


@dataclass
class FalseHit:
    """A document that was dropped although nothing was planted in it."""

    id: str
    contaminated_by: str
    overlap: float
    text: str


@dataclass
class Domain:
    documents: int = 0
    megabytes: float = 0.0
    seconds: float = 0.0
    hits: list[FalseHit] = field(default_factory=list)


def rows_of(path: Path) -> list[dict[str, Any]]:
    with pa.input_stream(path, compression="zstd") as stream:
        return [orjson.loads(line) for line in stream.read().splitlines() if line.strip()]


def stem(path: Path) -> str:
    return path.name.partition(".")[0]


def planted_text(item: dict[str, Any]) -> str:
    """The question (or sentence) with the right answer."""
    if "contexts" in item:
        question = item["contexts"][item["gold"]]
    else:
        question = next(item[name] for name in ("query", "text", "good") if name in item)
    if "choices" in item:
        return f"{question} {item['choices'][item['gold']]}"
    answers = [item[name] for name in ("answer", "continuation") if name in item]
    return " ".join([question, *answers])


def lengths(texts: Sequence[str]) -> list[int]:
    normalised = normalise(pa.array(texts, pa.large_string()))
    counts: list[int] = np.diff(Vocabulary.of(normalised).read(normalised).starts).tolist()
    return counts


def plant(text: str, carrier: str, rng: random.Random) -> str:
    """``text`` as a paragraph of its own between two words of ``carrier``."""
    cut = carrier.find(" ", rng.randrange(len(carrier)))
    cut = len(carrier) if cut < 0 else cut
    return f"{carrier[:cut]}\n\n{text}\n\n{carrier[cut:]}"


def search(step: Decontaminate, texts: Sequence[str]) -> list[dict[str, Any]]:
    """The signals of every text."""
    found: list[dict[str, Any]] = []
    for first in range(0, len(texts), ROWS):
        rows = pa.array(texts[first : first + ROWS], pa.large_string())
        verdict = step.filter(Docs(pa.record_batch({"text": rows})))
        signals = {name: pa.array(values).to_pylist() for name, values in verdict.signals.items()}
        found += [
            dict(zip(signals, row, strict=True)) for row in zip(*signals.values(), strict=True)
        ]
    return found


def recall(
    step: Decontaminate,
    items: dict[str, list[tuple[str, str]]],
    carriers: Sequence[str],
    words: Sequence[str],
    seed: int,
) -> list[Planted]:
    """``items`` are (name, text) by set."""
    results = []
    same: dict[str, str] = {}  # normalised text → first item that has it
    for evaluation, pairs in items.items():
        keys = normalise(pa.array([text for _, text in pairs], pa.large_string())).to_pylist()
        first = {
            name: same.setdefault(key, name) for (name, _), key in zip(pairs, keys, strict=True)
        }
        for kind, edit in EDITS.items():
            rng = random.Random(f"{seed} {evaluation} {kind}")
            texts = [plant(edit(t, rng, words), rng.choice(carriers), rng) for _, t in pairs]
            result = Planted(evaluation, kind, len(pairs))
            for (name, text), signals in zip(pairs, search(step, texts), strict=True):
                named = re.findall(r"[^ ,]+#\d+", signals["contaminated_by"] or "")
                found = any(other.partition("#")[0] == evaluation for other in named)
                result.found += found
                result.named += name in named or first[name] in named
                if not found:
                    result.missed.append(f"{name}: {text[:100]!r}")
            results.append(result)
    return results


def unplanted(step: Decontaminate, path: Path) -> Domain:
    """What is found in the documents of ``path`` as they are."""
    rows = rows_of(path)
    texts = [row["text"] for row in rows]
    domain = Domain(len(rows), sum(len(text.encode()) for text in texts) / 1e6)
    before = time.process_time()
    found = search(step, texts)
    domain.seconds = time.process_time() - before
    for row, signals in zip(rows, found, strict=True):
        if signals["contaminated_by"]:
            by, text = signals["contaminated_by"], signals["contaminated_text"]
            domain.hits.append(FalseHit(str(row["id"]), by, signals["overlap"], text))
    return domain


def show(results: Sequence[Planted], short: dict[str, int], domains: dict[str, Domain]) -> None:
    """Tables in Markdown."""
    sets = list(dict.fromkeys(result.evaluation for result in results))
    cells = {(r.evaluation, r.kind): r for r in results}
    print(
        "| set | items | too short |", " | ".join(EDITS), "|\n| --- |", "---: |" * (len(EDITS) + 2)
    )
    for name in sets:
        row = [cells[name, kind] for kind in EDITS]
        print(f"| {name} | {row[0].items} | {short[name]} |", *(f"{r.found} |" for r in row))
    totals = Counter({kind: sum(r.found for r in results if r.kind == kind) for kind in EDITS})
    items = sum(cells[name, "verbatim"].items for name in sets)
    print(f"| all | {items} | {sum(short.values())} |", *(f"{totals[kind]} |" for kind in EDITS))
    named = sum(r.named for r in results) / max(1, sum(r.found for r in results))
    print(f"\nOf those found, {named:.2%} name the very item.\n")
    for result in results:
        for missed in result.missed[:3]:
            print(f"missed ({result.kind}) {missed}")
    print("\n| domain | documents | MB | MB/s | dropped |\n| --- | ---: | ---: | ---: | ---: |")
    for name, domain in domains.items():
        speed = domain.megabytes / max(domain.seconds, 1e-9)
        counts = f"{domain.documents} | {domain.megabytes:.1f} | {speed:.0f} | {len(domain.hits)}"
        print(f"| {name} | {counts} |")
    for domain in domains.values():
        for hit in domain.hits:
            print(f"{hit.id} {hit.overlap:.2f} {hit.contaminated_by}: {hit.text!r}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("evals", type=Path)
    parser.add_argument("domains", type=Path)
    parser.add_argument("--items", type=int, help="items of each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="a parameter of the step")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    parameters = {
        name: json.loads(value) for name, _, value in (s.partition("=") for s in arguments.set)
    }
    files = sorted(arguments.evals.glob("*.jsonl.zst"))
    step = Decontaminate(evaluations={stem(path): str(path) for path in files}, **parameters)
    warm_up([step])
    rng = random.Random(arguments.seed)
    items: dict[str, list[tuple[str, str]]] = {}
    short: dict[str, int] = {}
    for path in files:
        pairs = [(f"{stem(path)}#{n}", planted_text(row)) for n, row in enumerate(rows_of(path), 1)]
        sizes = lengths([text for _, text in pairs])
        long = [pair for pair, words in zip(pairs, sizes, strict=True) if words >= step.min_words]
        short[stem(path)] = len(pairs) - len(long)
        count = min(len(long), arguments.items or len(long))
        items[stem(path)] = rng.sample(long, count)
    sources = sorted(arguments.domains.glob("*.jsonl.zst"))
    texts = [row["text"] for path in sources for row in rows_of(path)[:200]]
    carriers = [text[:CARRIER] for text in texts if len(text) >= CARRIER]
    words = sorted({word for text in carriers for word in re.findall(r"[a-z]{4,}", text)})
    results = recall(step, items, carriers, words, arguments.seed)
    domains = {stem(path): unplanted(step, path) for path in sources}
    if arguments.json:
        found = {"planted": [asdict(r) for r in results], "short": short}
        print(
            json.dumps({**found, "domains": {n: asdict(d) for n, d in domains.items()}}, indent=1)
        )
    else:
        show(results, short, domains)
    return int(any(r.found < r.items for r in results if r.kind == "verbatim"))


if __name__ == "__main__":
    sys.exit(main())
