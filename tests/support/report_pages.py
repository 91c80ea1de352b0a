"""Pages with one of everything, for tests of the report."""

from __future__ import annotations

from pipeline.report.blocks import Block, Chart, Code, Prose, ReportSection, Sample, Samples, Table
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
    """Each kind of block once; ``text`` is the document shown."""
    blocks: list[Block] = [
        verdict_table(),
        Chart("Documents by source", BARS, "Bars: wiki 3, law 5.", "Counted once."),
        Prose("First paragraph.\n\nSecond one.", "How it was measured"),
        Prose("A target of `law` holds 12 documents.", tone="warning"),
        Code("The manifest", "name: web\nseed: 7\n", "As it was run."),
        Samples("Kept", [Sample("doc-1", text, {"source": "wiki", "quality": "0.91"})]),
    ]
    return Page(
        title="web-vs-docs",
        subtitle="manifests/domains.yaml",
        metrics=[("Documents in", 12_345), ("Price", "0.1 CPU-hours")],
        headline="“half” is better than “natural”.",
        sections=[ReportSection("verdict", "Verdict", blocks, "Lead.")],
        tone="better",
        warnings=["keep: every score is equal."],
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
    prose, code = Prose(word + " " + text, text, "failed"), Code(text, word + "\n" + text, text)
    blocks: list[Block] = [wide, chart, prose, code, samples, verdict_table()]
    small = small_page()
    return Page(
        title=word[:120],
        subtitle=text,
        metrics=[(text, word)],
        headline=f"{word} {text}",
        sections=[*small.sections, ReportSection(f"w {word}", text, blocks, word)],
        tone="worse",
        warnings=[f"{word} {text}"],
    )
