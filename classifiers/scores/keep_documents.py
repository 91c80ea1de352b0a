"""How the step `keep` finds the thresholds of each group and cuts by them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from classifiers.scores.group_thresholds import MappedScores, metrics_of, read
from classifiers.scores.quantiles import GroupQuantiles, keys_of
from classifiers.scores.score_columns import group_column, score_column
from classifiers.scores.threshold_warnings import Asked, ThresholdWarnings
from winnow import BoolArray, Docs, FilterResult, ReduceInput, ShardError

if TYPE_CHECKING:
    from classifiers.scores.keep import Keep

ARTIFACTS = "groups.parquet"
OTHER_SOURCE = "other_source"
NO_SCORE = "no_score"
ALL_TIED = "all_tied"
BELOW_SHARE = "below_top_share"


def map_scores(step: Keep, docs: Docs) -> pa.RecordBatch:
    """Score, size and groups of the documents [rows] of the sources to keep from."""
    docs = docs.filter(_wanted(step, docs))
    columns = {
        "score": score_column(docs, step.column),
        "bytes": pc.binary_length(docs.text),
    }
    columns |= {f"by.{name}": group_column(docs, name) for name in step.group_columns()}
    return pa.record_batch(columns)


def find_thresholds(step: Keep, reduce_input: ReduceInput, folder: Path) -> dict[str, Any]:
    """Write the thresholds into ``folder``; what is at or above them, as metrics."""
    mapped = MappedScores(reduce_input, step.group_columns())
    share = step.share()
    shares = [] if share is None else [share]
    fixed = keys_of(np.array([least.score for least in step.fixed()], np.float32))
    quantiles = GroupQuantiles.of(mapped, shares, step.of, fixed.tolist())
    drop_tied = step.all_tied == "drop"
    table = mapped.table(quantiles, fixed, step.of, drop_tied)
    given = [(least.parameter, float(least.score)) for least in step.fixed()]
    asked = Asked(step.column, step.group_columns(), step.top, step.of, given, drop_tied)
    warnings = ThresholdWarnings(table, asked)
    if step.all_tied == "refuse" and warnings.nothing_to_choose_by():
        raise ShardError(
            "scores-tied",
            f"{warnings.no_order()}, so `top: {step.top}` has nothing to choose by",
            f"look at what makes {step.column} (a judge that always answers alike?), or say "
            "`all_tied: keep` or `all_tied: drop`",
        )
    pq.write_table(table, folder / ARTIFACTS, write_page_checksum=True)
    return {**metrics_of(table, step.group_columns()), "warnings": list(warnings)}


def keep_documents(step: Keep, docs: Docs, artifacts: Path) -> FilterResult:
    """Which documents [rows] stay, with score and threshold of each."""
    found = read(artifacts / ARTIFACTS, step.group_columns())
    wanted = _wanted(step, docs)
    columns = [group_column(docs.filter(wanted), name) for name in step.group_columns()]
    group = np.full(len(docs), -1, np.int64)
    group[wanted] = found.groups.of(columns, int(wanted.sum()))
    scores = score_column(docs, step.column).to_numpy(zero_copy_only=False)
    fixed = step.fixed()
    reasons = [OTHER_SOURCE, NO_SCORE, ALL_TIED, BELOW_SHARE, *(f.reason for f in fixed)]
    tied = found.tied[group] & (step.all_tied == "drop")
    # No document is below NaN, the cut where there is none.
    broken = [~wanted, np.isnan(scores), tied, scores < found.cut[group]]
    broken += [scores < least.score for least in fixed]
    codes = np.select(broken, range(1, len(reasons) + 1), 0)
    signals = {"score": scores, "threshold": found.threshold[group]}
    return FilterResult.of_codes(codes, reasons, signals)


def _wanted(step: Keep, docs: Docs) -> BoolArray:
    if step.sources is None:
        return np.ones(len(docs), np.bool_)
    source = docs.column("source")
    names = [step.sources] if isinstance(step.sources, str) else step.sources
    known = pa.array(names, type=source.type)
    return np.asarray(pc.is_in(source, value_set=known).to_numpy(zero_copy_only=False))
