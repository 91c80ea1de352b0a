"""Report sections of thresholds: what `keep` left of each group, what `ensemble` joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import pyarrow.parquet as pq

from winnow import Block, Chart, Prose, ReportSection, Table

Cell = str | int | float | None


def keep_sections(label: str, column: str, metrics: Mapping[str, Any]) -> Sequence[ReportSection]:
    """One section: a row for each of the largest groups, or one for all documents."""
    groups = metrics.get("by_group", {"all documents": metrics})
    rows: list[list[Cell]] = [
        [
            name,
            group["documents"],
            group["no_score"],
            group.get("threshold"),
            group["kept"],
            _percent(group["kept_of_scored"]),
            _percent(group["kept_of_bytes"]),
        ]
        for name, group in groups.items()
    ]
    note = (
        "Shares are of the documents that have a score: what was asked for or the next larger one, "
        "more where documents tie at the threshold, less where a fixed threshold took more."
    )
    if metrics.get("groups_not_shown"):
        note += (
            f" The {len(rows)} groups with the most documents; the other "
            f"{metrics['groups_not_shown']:,} are in groups.parquet, an artifact of this step."
        )
    columns = ["group", "documents", "without a score", "threshold", "kept"]
    columns += ["of documents", "of text"]
    blocks = [*_warnings(metrics), Table("Thresholds, and what they left", columns, rows, note)]
    lead = (
        f"{metrics['kept']:,} of {metrics['documents']:,} documents were kept by `{column}`. "
        "Thresholds are exact quantiles of all documents."
    )
    return [ReportSection(label, f"Kept by {column}, by {label}", blocks, lead)]


def ensemble_sections(
    label: str, column: str, artifacts: Path, metrics: Mapping[str, Any]
) -> Sequence[ReportSection]:
    """One section: how much is in each bucket, and at which scores the bins begin."""
    least: dict[tuple[str, int], float] = {}
    for row in pq.read_table(artifacts / "cuts.parquet").to_pylist():
        least[row["column"], row["bin"]] = row["least_score"]
    scorers = list(metrics["scored"])
    total = sum(bucket["bytes"] for bucket in metrics["buckets"].values())
    rows: list[list[Cell]] = [
        [
            int(number),
            bucket["documents"],
            _percent(bucket["bytes"] / total if total else None),
            *(_score(least.get((scorer, int(number)))) for scorer in scorers),
        ]
        for number, bucket in reversed(metrics["buckets"].items())
    ]
    note = (
        "A document is in the highest bin that any of its scores reaches, so the upper buckets "
        "hold more than an equal share. Scores are those at which a scorer's bin begins."
    )
    columns = ["bucket", "documents", "of text", *(f"{scorer} from" for scorer in scorers)]
    blocks: list[Block] = [
        *_warnings(metrics),
        _bars(column, metrics["buckets"], total),
        Table("Buckets, and where the bins of each score begin", columns, rows, note),
    ]
    lead = (
        f"`{column}` joins {len(scorers)} scores ({', '.join(scorers)}) of "
        f"{metrics['documents']:,} documents; {metrics['without_any_score']:,} have none of them."
    )
    return [ReportSection(label, f"Buckets {column}, by {label}", blocks, lead)]


def _warnings(metrics: Mapping[str, Any]) -> list[Block]:
    """One block with a paragraph for each warning; none where there is nothing to warn about."""
    sentences = [f"{text[0].upper()}{text[1:]}." for text in metrics.get("warnings", ())]
    return [Prose("\n\n".join(sentences), tone="warning")] if sentences else []


def _bars(column: str, buckets: Mapping[str, Mapping[str, int]], total: int) -> Chart:
    values = [
        {"bucket": int(number), "share": bucket["bytes"] / total if total else 0}
        for number, bucket in buckets.items()
    ]
    chart = (
        alt.Chart(alt.Data(values=values))
        .mark_bar()
        .encode(
            x=alt.X("bucket:O", title=column),
            y=alt.Y("share:Q", title="share of text", axis=alt.Axis(format="%")),
        )
    )
    words = "; ".join(f"{entry['bucket']} {_percent(entry['share'])}" for entry in values)
    return Chart("Text by bucket", chart.to_dict(), f"Share of text in each bucket: {words}.")


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"


def _score(value: float | None) -> str | None:
    return None if value is None else f"{value:.4g}"
