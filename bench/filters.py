"""Our filters against datatrove's, on any documents: decisions, reasons, edited texts and speed.

    python bench/filters.py --docs FILE|FOLDER… [--filters NAME…] [--json]
        [--datatrove-seconds N] [--limit N] [--all] [--no-peers]

Files are ``.jsonl``, ``.jsonl.gz``, ``.jsonl.zst`` and ``.parquet`` with a field ``text``, and
``.warc`` and ``.warc.gz``, of whose HTML responses resiliparse extracts the text beforehand.
``make bench-env`` sets up what this needs in ``.venv-bench``.

Times are CPU seconds of one process on one core with one thread, parameters are defaults. Ours run
over all documents, each filter in a fresh process: kernels and tables of rules are loaded, the
table of words is empty, and filling it counts. datatrove is slow, so it sees documents drawn at
random until its seconds are spent (``--datatrove-seconds``, ``--limit``), or all with ``--all``.
Decisions are compared on every document that datatrove saw. ``recipe`` is Gopher repetition,
Gopher quality, C4 quality, FineWeb quality and MinHash signatures, each on what the one before has
left: ours in one pass, datatrove's one after the other, as its pipeline does. ``floor_ratio`` is
the time of our recipe, reading included, by that of reading the same files and touching every byte
of the texts once.

Per filter, ``documents`` are those compared; of these, ``decisions_equal`` is the share kept or
dropped by both, ``reasons_equal`` that with the same reason, ``texts_equal`` that with the same
text afterwards, and ``values_equal`` that with the same language and score or the same MinHash
values. A document on which datatrove raises is listed in ``datatrove_errors`` and not compared.
Exit code 1 when anything differs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "filters":
    # A script in this folder imports the package of this name, and finds this file first.
    __path__ = [str(ROOT / "filters")]
else:
    sys.path[:] = [str(ROOT), *(path for path in sys.path if path != str(ROOT / "bench"))]

KINDS = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet", ".warc", ".warc.gz")


def files(paths: Sequence[Path]) -> list[Path]:
    """The files that can be read: those named, and those below folders."""
    found: list[Path] = []
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        found += [file for file in below if file.name.endswith(KINDS)]
        if path.is_file() and path not in found:
            raise SystemExit(f"{path}: not one of {', '.join(KINDS)}")
    if not found:
        raise SystemExit("no documents: name files that exist")
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--docs", nargs="+", type=Path, required=True)
    parser.add_argument("--filters", nargs="+", help="of the table, instead of all")
    parser.add_argument("--datatrove-seconds", type=float, default=120.0)
    parser.add_argument("--limit", type=int, help="most documents for datatrove")
    parser.add_argument("--all", action="store_true", help="all documents for datatrove")
    parser.add_argument("--no-peers", action="store_true", help="datatrove alone")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def main() -> int:
    # Processes that measure import this file too, and should not load both sides with it.
    from bench.versus import run
    from bench.versus.pinned import fresh, one_core

    asked = arguments()
    one_core()
    with tempfile.TemporaryDirectory() as folder:
        prepared = fresh(run.prepared, files(asked.docs), Path(folder))
        report = run.measure(
            prepared,
            asked.filters,
            None if asked.all else asked.datatrove_seconds,
            None if asked.all else asked.limit,
            peers=not asked.no_peers,
        )
    print(json.dumps(report, indent=1) if asked.json else table(report))
    return int(bool(report["differences"]))


def table(report: dict[str, Any]) -> str:
    """The report in Markdown."""
    lines = [report["about"], "", _row("filter", *SHARES, "ours MB/s", "datatrove MB/s", "ratio")]
    lines.append("| --- |" + " ---: |" * 8)
    for name, row in report.items():
        if isinstance(row, dict):
            shares = (f"{row[share]:.2%}" for share in SHARES.values() if share != "documents")
            lines.append(_row(name, f"{row['documents']:,}", *shares, *_speeds(row)))
    if report["floor_ratio"] is not None:
        lines += ["", f"floor_ratio: {report['floor_ratio']:.2f}"]
    for peer in report["peers"]:
        name = f"{peer['peer']}: {peer['filter']}"
        if peer["error"]:
            lines.append(f"\n{name}: {peer['error']}")
        else:
            same = f"{peer['decisions_equal']:.2%} of {peer['documents']:,} decisions equal"
            ours, theirs, ratio = _speeds(peer, "peer_mb_s")
            lines.append(f"\n{name}: {same}, {ours} MB/s ours, {theirs} MB/s, ratio {ratio}")
            lines.append(f"  differs: {peer['differs']}")
            lines.append(f"  most often (ours / theirs): {'; '.join(peer['disagreements'])}")
    for kind in ("differences", "datatrove_errors", "unread"):
        lines += [f"\n{kind}: {len(report[kind]):,}", *map(str, report[kind][:20])]
    return "\n".join(lines)


SHARES = {
    "documents": "documents",
    "decisions": "decisions_equal",
    "reasons": "reasons_equal",
    "texts": "texts_equal",
    "values": "values_equal",
}


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _speeds(row: dict[str, Any], theirs: str = "datatrove_mb_s") -> tuple[str, str, str]:
    ratio = "–" if row["ratio"] is None else f"{row['ratio']:.0f}"
    return f"{row['ours_mb_s']:.1f}", f"{row[theirs]:.3f}", ratio


if __name__ == "__main__":
    sys.exit(main())
