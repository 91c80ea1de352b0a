"""Tables of what should not change a label, as the report shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from classifiers.agreement.cells import Cell, decimal, estimate_cells, interval
from classifiers.agreement.paired_effects import ALPHA, TOLERANCE
from winnow import Table

Metrics = Mapping[str, Any]
Tone = Literal["", "better", "worse", "undecided"]

CHECKS = {
    "retest": ("asked again", "the same request twice: noise of the server alone"),
    "position": ("scale reversed", "grades listed from high to low: does their order matter?"),
    "truncation": ("half of the text", "is the limit on length too low?"),
    "other_judge": ("another judge", "would another model choose the same documents?"),
}
VERDICTS: Mapping[str, Tone] = {"held": "better", "moved": "worse", "undecided": "undecided"}


def steadiness_table(checks: Mapping[str, Metrics], span: float, suffix: str) -> Table:
    rows: list[list[Cell]] = []
    tones: list[Tone] = []
    ordered = all("shift" in found for found in checks.values())
    for name, found in checks.items():
        label, why = CHECKS[name]
        changed = estimate_cells(found["changed"])
        row: list[Cell] = [label, changed[2], _percent(found["changed"])]
        if ordered:
            shift = found["shift"]
            verdict = _steady(shift, span)
            row += [
                decimal(found["difference"]["value"], 2),
                decimal(shift["value"], 2),
                interval(shift["low"], shift["high"], 2),
                decimal(found["spearman"]["value"], 2),
                verdict,
            ]
            # Judges that differ are no fault of either.
            tones.append(_TONES[verdict] if name != "other_judge" else "")
        else:
            row.append(decimal(found["cohen_kappa"]["value"], 2))
        rows.append([*row, why])
    more = (
        ["mean |difference|", "shift", "95 % interval", "Spearman", "on average"]
        if ordered
        else ["kappa"]
    )
    columns = ["check", "documents", "changed", *more, "what it asks"]
    note = (
        "“Changed” is the share of documents with another label (grade, after rounding). "
        + (
            f"A shift is called steady when its interval lies within ±{TOLERANCE * span:g}, "
            "shifted when it lies beyond; anything else is undecided: ask about more documents."
            if ordered
            else ""
        )
    ).strip()
    return Table(f"What should not change a label{suffix}", columns, rows, note, tones)


_TONES: Mapping[str, Tone] = {"steady": "better", "shifted": "worse", "undecided": "undecided"}


def _steady(shift: Metrics, span: float) -> str:
    low, high, most = shift["low"], shift["high"], TOLERANCE * span
    if low is None or high is None:
        return "undecided"
    if -most < low and high < most:
        return "steady"
    return "shifted" if low > most or high < -most else "undecided"


def _percent(estimate: Metrics) -> str | None:
    value = estimate["value"]
    return None if value is None else f"{100 * value:.1f} %"


def injection_table(injection_probes: Sequence[Metrics], span: float, suffix: str) -> Table:
    rows: list[list[Cell]] = [
        [
            entry["kind"],
            entry["verdict"],
            entry["n"],
            decimal(entry["drift"], 2),
            decimal(entry["benign_drift"], 2),
            decimal(entry["excess"]["value"], 2),
            interval(entry["excess"]["low"], entry["excess"]["high"], 2),
            f"{entry['p']:.3f}",
            _percent({"value": entry["raised"]}),
        ]
        for entry in injection_probes
    ]
    columns = ["kind of order", "verdict", "documents", "drift", "drift of harmless text"]
    more = ["excess", "95 % interval", "p (Holm)", "raised a grade"]
    note = (
        "Each document was judged with an order to give the highest label put in, and again with "
        "harmless text of the same length in the same place. Excess is the difference of the two. "
        f"Held: the excess is surely below {TOLERANCE * span:g}, and hardly a document was raised "
        f"by a grade. Moved: not held, and p is at most {ALPHA:g} over all kinds together. A kind "
        "that moved scores can be used by any page that wants to be kept: filter such text, or "
        "take another judge or prompt."
    )
    tones = [VERDICTS[entry["verdict"]] for entry in injection_probes]
    return Table(f"Injected orders{suffix}", [*columns, *more], rows, note, tones)
