"""One run: datatrove on what its time allows, ours on everything, the peers, one report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import xxhash

from bench.versus import ours, peers, theirs
from bench.versus.outcomes import Comparison, Side, compare
from bench.versus.pinned import fresh
from bench.versus.shards import extract, reads


class Prepared(NamedTuple):
    """Files with text, whether any document has a URL, and what could not be read."""

    files: list[Path]
    urls: bool
    unread: list[str]


def prepared(files: Sequence[Path], folder: Path) -> Prepared:
    """Files without WARC among them: text of those is extracted into ``folder``."""
    found, unread, urls = [], [], False
    for number, path in enumerate(files):
        if path.name.endswith((".warc", ".warc.gz")):
            lines = folder / f"{number}-{path.name}.jsonl"
            try:
                extract(path, lines)
            except OSError as error:  # malformed: the records before count
                unread.append(f"{path.name}: {error}")
            path = lines
        found.append(path)
        bad = 0
        for read in reads(path):
            bad += 0 if read.quarantined is None else read.quarantined.num_rows
            if read.documents is not None:
                urls |= read.documents.column("url").null_count < read.documents.num_rows
        if bad:
            unread.append(f"{path.name}: {bad:,} rows that the engine would quarantine")
    return Prepared(found, urls, unread)


def measure(
    given: Prepared,
    filters: Sequence[str] | None,
    seconds: float | None,
    limit: int | None,
    *,
    peers: bool,
) -> dict[str, Any]:
    """The report; ``filters`` are all when None, ``seconds`` and ``limit`` are datatrove's."""
    names, recipe = _chosen(filters, given.urls)
    other = fresh(theirs.measure, names, recipe, given.files, seconds, limit)
    wanted = frozenset(position for side in other.values() for position in side.outcomes)
    mine = _Ours(given.files, wanted)
    report: dict[str, Any] = {}
    found = []
    for name in other:
        side, reading, _ = mine.measured(ours.steps(recipe if name == "recipe" else [name]))
        found.append(compare(name, side.outcomes, other[name]))
        report[name] = _entry(found[-1], side, other[name])
        if name == "recipe":
            floor = sum(fresh(ours.floor, given.files))
            report["floor_ratio"] = (reading + side.seconds) / floor
            report["floor_seconds"], report["recipe_seconds"] = floor, reading + side.seconds
    largest = max(other.values(), key=lambda side: side.documents)
    return {
        "floor_ratio": None,
        **report,
        "unread": given.unread,
        "about": _about(side, largest, seconds, limit),
        "differences": [each for one in found for each in one.differences],
        "datatrove_errors": [each for one in found for each in one.errors],
        "peers": _peers(mine, given.files, wanted, seconds) if peers else [],
    }


def _chosen(filters: Sequence[str] | None, urls: bool) -> tuple[list[str], Sequence[str]]:
    names = list(filters or [*ours.FILTERS, "recipe"])
    unknown = set(names) - {*ours.FILTERS, "recipe"}
    if unknown:
        raise SystemExit(f"{', '.join(sorted(unknown))}: not one of {', '.join(ours.FILTERS)}")
    if {"minhash", "recipe"} & set(names) and int(xxhash.VERSION.split(".")[0]) > 3:
        raise SystemExit("datatrove's MinHash needs xxhash < 4: run make bench-env, and this there")
    recipe = ours.RECIPE if "recipe" in names else ()
    if not urls and not filters:
        names.remove("url")
    return [name for name in names if name != "recipe"], recipe


class _Ours:
    """Our side of any steps, measured once."""

    def __init__(self, files: Sequence[Path], wanted: frozenset[int]) -> None:
        self.files, self.wanted = files, wanted
        self.known: dict[str, ours.Measured] = {}

    def measured(self, steps: ours.Steps) -> ours.Measured:
        key = repr(steps)
        if key not in self.known:
            found = fresh(ours.measure, steps, self.files, self.wanted)
            if found.compiled:  # a kernel that no run had needed before; now it is kept
                found = fresh(ours.measure, steps, self.files, self.wanted)
            self.known[key] = found
        return self.known[key]


def _entry(found: Comparison, mine: Side, other: Side) -> dict[str, Any]:
    return {
        "documents": found.documents,
        **found.shares(),
        "ours_mb_s": mine.mb_s,
        "datatrove_mb_s": other.mb_s,
        "ratio": mine.mb_s / other.mb_s if other.documents else None,
        "datatrove_errors": len(found.errors),
    }


def _peers(
    mine: _Ours, files: Sequence[Path], wanted: frozenset[int], seconds: float | None
) -> list[dict[str, Any]]:
    rows = []
    for number, peer in enumerate(peers.PEERS):
        row: dict[str, Any] = {"peer": peer.project, "filter": peer.filter, "error": ""}
        got = fresh(peers.measure, number, files, wanted, seconds)
        if got.error:
            row["error"] = got.error
        else:
            side = mine.measured(peer.ours).side
            found = compare(peer.filter, side.outcomes, got.side)
            row |= {
                "version": got.version,
                "ours": [label for label, _ in peer.ours],
                "documents": found.documents,
                "decisions_equal": found.shares()["decisions_equal"],
                "disagreements": _disagreements(found),
                "peer_errors": len(found.errors),
                "ours_mb_s": side.mb_s,
                "peer_mb_s": got.side.mb_s,
                "ratio": side.mb_s / got.side.mb_s,
                "differs": peer.differs,
            }
        rows.append(row)
    return rows


def _disagreements(found: Comparison) -> list[str]:
    """What was decided otherwise, most frequent first: our reason, theirs and how often."""
    pairs = Counter(
        (each["ours"], each["theirs"])
        for each in found.differences
        if "decision" in each["differs"]
    )
    return [f"{ours} / {theirs}: {count}" for (ours, theirs), count in pairs.most_common(6)]


def _about(mine: Side, other: Side, seconds: float | None, limit: int | None) -> str:
    every = seconds is None and limit is None
    how = "documents, which are all" if every else "documents drawn at random"
    info = Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.partition(": ")[2] for line in info if line.startswith("model name")), "?")
    return (
        f"{cpu}, one core, CPU seconds. Ours: {mine.documents:,} documents, "
        f"{mine.megabytes:.1f} MB of text, cold table of words. datatrove "
        f"{version('datatrove')} with spaCy {version('spacy')}: {other.documents:,} {how}, "
        f"{other.megabytes:.1f} MB."
    )
