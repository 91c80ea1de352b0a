"""Pages with one of everything, for tests of the report."""

from __future__ import annotations

from pipeline.panel import Chapter, Chart, Panel, Prose, Sample, Samples, Table
from pipeline.report.page import Page

BARS = {
    "data": {"values": [{"name": "wiki", "n": 3}, {"name": "law", "n": 5}]},
    "mark": "bar",
    "encoding": {
        "y": {"field": "name", "type": "nominal"},
        "x": {"field": "n", "type": "quantitative"},
    },
}


def verdict_table() -> Table:
    return Table(
        "Mixes against “natural”",
        ["Mix", "Bits per byte", "Difference", "Decision"],
        [
            ["natural", 2.0412, None, "baseline"],
            ["half", 2.0331, -0.0081, "better"],
            ["best", 2.0398, -0.0014, "undecided"],
            ["aged", 2.0988, 0.0576, "worse"],
        ],
        "Negative differences are improvements.",
        ["", "better", "undecided", "worse"],
    )


def small_page(text: str = "The cat sat.") -> Page:
    """Each kind of panel once; ``text`` is the document shown."""
    panels: list[Panel] = [
        verdict_table(),
        Chart("Documents by source", BARS, "Bars: wiki 3, law 5.", "Counted once."),
        Prose("First paragraph.\n\nSecond one.", "How it was measured"),
        Samples("Kept", [Sample("doc-1", text, {"source": "wiki", "quality": "0.91"})]),
    ]
    return Page(
        title="web-vs-docs",
        subtitle="manifests/domains.yaml",
        facts=[("Documents in", 12_345), ("Price", "0.1 CPU-hours")],
        headline="“half” is better than “natural”.",
        chapters=[Chapter("verdict", "Verdict", panels, "Lead.")],
        tone="better",
    )


def large_page(text: str) -> Page:
    """Twelve wide columns, words without an end, and ``text`` wherever text may stand."""
    word = "x" * 400
    wide = Table(
        word,
        [f"column number {n}" for n in range(12)],
        [[f"{word[:60]}", *range(1_000_000, 1_000_010), text[:80]] for _ in range(60)],
        word,
    )
    chart = Chart(text, BARS | {"width": 1600}, text, text)
    samples = Samples(text, [Sample(word, text + word, {word: word})] * 3)
    panels: list[Panel] = [wide, chart, Prose(word + " " + text, text), samples, verdict_table()]
    small = small_page()
    return Page(
        title=word[:120],
        subtitle=text,
        facts=[(text, word)],
        headline=f"{word} {text}",
        chapters=[*small.chapters, Chapter(f"w {word}", text, panels, word)],
        tone="worse",
    )
