from __future__ import annotations

from pathlib import Path

import pytest
from committed_run import Length, Listed, Shorten, Vowels, metrics_stage, next_stage, read_stage

from pipeline.engine.stage import Count, Stage
from pipeline.report import excerpts
from pipeline.report.blocks import Chart, ReportSection, Samples, Table
from pipeline.report.funnel import funnel_sections
from pipeline.report.funnel_counts import FunnelCounts
from pipeline.report.histograms import score_columns, spread
from pipeline.report.page import Page, render

WEB = Listed(
    documents=(
        ("w1", "a"),
        ("w2", "bb"),
        ("w3", "é" * 5),
        ("w4", "audio eau"),
        ("w5", "rhythm"),
        ("w6", "x" * 40),
    ),
    bad=(("bad-json", "line 7: no end"), ("bad-utf8", "byte 0xff"), ("bad-json", "another")),
)
BOOKS = Listed(documents=(("b1", "novella"), ("b2", "1234567"), ("b3", "y" * 30)))


@pytest.fixture
def stages(tmp_path: Path) -> list[Stage]:
    """Nine documents: Length drops w1, w2 (short), w6, b3 (long); then texts are cut and scored."""
    steps = {"length": Length(low=3, high=20)}
    first = read_stage(tmp_path, {"web": WEB, "books": BOOKS}, steps)
    found = metrics_stage(tmp_path, "reduce", {"documents": 5, "best": {"auc": 0.91}})
    return [first, found, next_stage(tmp_path, first, {"cut": Shorten(), "score": Vowels()})]


def section(sections: list[ReportSection], anchor: str) -> ReportSection:
    return next(found for found in sections if found.anchor == anchor)


def tables(found: ReportSection) -> list[Table]:
    return [block for block in found.blocks if isinstance(block, Table)]


def rows(found: ReportSection, table: int = 0) -> list[list[object]]:
    return [
        [cell.replace("\u00a0", " ") if isinstance(cell, str) else cell for cell in row]
        for row in tables(found)[table].rows
    ]


def test_the_ledger_adds_up_what_tasks_counted(stages: list[Stage]) -> None:
    counts = FunnelCounts.of(stages)
    assert counts.rows == 12
    assert counts.read == Count(documents=9, bytes=1 + 2 + 10 + 9 + 6 + 40 + 7 + 7 + 30)
    assert counts.quarantined == {"bad-json": 2, "bad-utf8": 1}
    assert [line.label for line in counts.steps] == ["length", "cut", "score"]
    assert dict(counts.steps[0].ranked()) == {
        "long": Count(documents=2, bytes=70),
        "short": Count(documents=2, bytes=3),
    }
    assert counts.kept == Count(documents=5, bytes=4 + 2 + 2 + 2 + 2)
    assert {source: count.documents for source, count in counts.kept_by_source.items()} == {
        "web": 3,
        "books": 2,
    }
    assert counts.missing == 0


def test_every_document_read_is_left_or_dropped_by_one_step(stages: list[Stage]) -> None:
    counts = FunnelCounts.of(stages)
    for line in counts.steps:
        assert line.entered.documents == line.dropped.documents + line.left.documents
    dropped = sum(line.dropped.documents for line in counts.steps)
    assert counts.read.documents == counts.kept.documents + dropped


def test_the_funnel_shows_what_entered_and_left_each_step(stages: list[Stage]) -> None:
    found = section(funnel_sections(stages), "funnel")
    assert rows(found) == [
        ["length", 9, 4, "44.4 %", 5, "112 B", "73 B", "39 B"],
        ["cut", 5, 0, "0.0 %", 5, "39 B", "0 B", "12 B"],
        ["score", 5, 0, "0.0 %", 5, "12 B", "0 B", "12 B"],
        ["whole run", 9, 4, "44.4 %", 5, "112 B", "73 B", "12 B"],
    ]
    assert "12 rows: 9 documents" in found.lead
    assert "3 bad rows for quarantine" in found.lead
    drawing = next(block for block in found.blocks if isinstance(block, Chart))
    assert "after length 55.6" in drawing.alt


def test_tokens_are_shown_only_when_their_rate_is_known_and_called_an_estimate(
    stages: list[Stage],
) -> None:
    without, with_ = (tables(section(funnel_sections(stages, rate), "funnel"))[0]
                      for rate in (None, 0.25))  # fmt: skip
    assert not any("oken" in column for column in without.columns)
    assert with_.columns[-1] == "Tokens left (estimated)"
    assert [row[-1] for row in with_.rows] == [10, 3, 3, 3]
    assert "0.25" in with_.note


def test_reasons_are_listed_by_step_and_the_most_frequent_first(tmp_path: Path) -> None:
    stage = read_stage(tmp_path, {"web": WEB}, {"a": Length(low=3, high=39), "b": Length(low=6)})
    found = section(funnel_sections([stage]), "reasons")
    assert [row[:3] for row in rows(found)] == [
        ["a", "short", 2],
        ["a", "long", 1],
        ["b", "short", 1],
    ]
    assert [row[4] for row in rows(found)] == ["50.0 %", "25.0 %", "25.0 %"]


def test_samples_show_dropped_documents_by_reason_and_kept_ones_by_source(
    stages: list[Stage],
) -> None:
    blocks = section(funnel_sections(stages), "samples").blocks
    shown = {p.title: {s.heading for s in p.items} for p in blocks if isinstance(p, Samples)}
    assert shown["Dropped by length: short (2)"] == {"w1", "w2"}
    assert shown["Dropped by length: long (2)"] == {"w6", "b3"}
    kept = shown["Kept (5)"]
    assert len(kept & {"w3", "w4", "w5"}) == 1
    assert len(kept & {"b1", "b2"}) == 1


def test_a_sample_says_where_it_came_from_and_what_was_measured(stages: list[Stage]) -> None:
    blocks = section(funnel_sections(stages), "samples").blocks
    samples = {s.heading: s for p in blocks if isinstance(p, Samples) for s in p.items}
    assert dict(samples["w2"].notes) == {
        "source": "web",
        "at": "web.jsonl:1",
        "text": "2\u00a0B",
        "characters": "2",
    }
    assert samples["w2"].text == "bb"


def test_the_choice_of_samples_depends_on_ids_alone(tmp_path: Path) -> None:
    documents = tuple((f"d{n}", "short") for n in range(50))
    chosen = []
    for name, order in (("a", documents), ("b", documents[::-1])):
        source = {"web": Listed(documents=order)}
        stage = read_stage(tmp_path / name, source, {"length": Length(low=9)})
        samples = section(funnel_sections([stage]), "samples").blocks[0]
        assert isinstance(samples, Samples)
        chosen.append([sample.heading for sample in samples.items])
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 2


def test_documents_are_fetched_from_the_row_where_they_were_found(stages: list[Stage]) -> None:
    shards = FunnelCounts.of(stages).kept_shards
    chosen = excerpts.choose(shards, ("source",), {("web",): 9, ("books",): 1})
    places = [place for group in chosen.values() for place in group]
    ids = {row["id"]: place for place, row in excerpts.fetch(shards, places)}
    assert {"w3", "w4", "w5"} < set(ids)
    assert len(ids) == len(places) == 4


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("short\ntext", "short\ntext"),
        ("x" * 601, "x" * 600 + " …"),
        ("\n".join("abcdefghijklm"), "\n".join("abcdefghijkl") + " …"),
        ("", ""),
    ],
)
def test_an_excerpt_is_the_beginning_and_says_when_it_was_cut(text: str, shown: str) -> None:
    assert excerpts.excerpt(text) == shown


def test_scores_are_drawn_per_source_and_documents_without_one_are_counted(
    stages: list[Stage],
) -> None:
    found = section(funnel_sections(stages), "scores")
    assert [row[:3] for row in rows(found)] == [["web", 3, 0], ["books", 1, 1]]
    drawing = found.blocks[0]
    assert isinstance(drawing, Chart)
    assert "vowels" in drawing.alt


def test_quantiles_come_within_a_thousandth_of_the_range(tmp_path: Path) -> None:
    texts = tuple((f"d{n}", "a" * n + "b" * (99 - n)) for n in range(100))
    stage = read_stage(tmp_path, {"web": Listed(documents=texts)}, {"score": Vowels()})
    found = spread([stage.corpus.shard("web")], "vowels", ["web"])
    assert found is not None
    assert (found.low, found.high) == (0, 1)
    for share in (0.1, 0.5, 0.9):
        assert found.quantile("web", share) == pytest.approx(share, abs=0.0111)  # steps of 1/99
    assert found.counts["web"].sum() == 100


def test_columns_without_any_score_are_left_out(tmp_path: Path) -> None:
    stage = read_stage(tmp_path, {"web": Listed(documents=(("a", "123"),))}, {"score": Vowels()})
    assert score_columns([stage.corpus.shard("web")]) == ["vowels"]
    assert "scores" not in [found.anchor for found in funnel_sections([stage])]


def test_sources_show_what_was_kept_and_what_was_bad(stages: list[Stage]) -> None:
    found = section(funnel_sections(stages), "sources")
    assert rows(found) == [
        ["web", 3, "50.0 %", "8 B", "66.7 %", 3, 3],
        ["books", 2, "66.7 %", "4 B", "33.3 %", 1, 0],
    ]
    assert rows(found, 1) == [
        ["web", "bad-json", 2, "web.jsonl:1000 line 7: no end"],
        ["web", "bad-utf8", 1, "web.jsonl:1001 byte 0xff"],
    ]


def test_a_source_of_which_nothing_is_left_is_still_listed(tmp_path: Path) -> None:
    stage = read_stage(tmp_path, {"web": WEB, "books": BOOKS}, {"length": Length(low=8)})
    lost = Listed(documents=(("a", "x"),), bad=(("bad-json", "no"),))
    stage = read_stage(tmp_path / "b", {"web": WEB, "lost": lost}, {"length": Length(low=8)})
    found = rows(section(funnel_sections([stage]), "sources"))
    assert found[-1] == ["lost", 0, "0.0 %", "0 B", "0.0 %", 1, 1]


def test_findings_of_a_step_are_listed_with_dotted_names(stages: list[Stage]) -> None:
    found = section(funnel_sections(stages), "metrics")
    assert tables(found)[0].title == "reduce"
    assert rows(found) == [["documents", "5"], ["best.auc", "0.91"]]


def test_tasks_that_are_not_committed_are_left_out_and_counted(tmp_path: Path) -> None:
    steps = {"length": Length(low=3)}
    stage = read_stage(tmp_path, {"web": WEB, "books": BOOKS}, steps, skip="books")
    found = section(funnel_sections([stage]), "funnel")
    assert "not run yet: 1 task." in found.lead
    assert rows(found)[0][1] == 6


def test_a_run_without_steps_keeps_what_it_read(tmp_path: Path) -> None:
    stage = read_stage(tmp_path, {"books": BOOKS}, {})
    sections = funnel_sections([stage])
    assert [found.anchor for found in sections] == ["funnel", "samples", "sources"]
    assert rows(sections[0]) == [["whole run", 3, 0, "0.0 %", 3, "44 B", "0 B", "44 B"]]


def test_a_run_that_has_not_begun_can_be_reported(tmp_path: Path) -> None:
    stage = read_stage(tmp_path, {"books": BOOKS}, {}, skip="books")
    sections = funnel_sections([stage])
    assert [found.anchor for found in sections] == ["funnel", "sources"]


def test_sections_are_the_same_each_time_and_can_be_rendered(stages: list[Stage]) -> None:
    pages = [
        render(Page("run", "", [], "", funnel_sections(stages, tokens_per_byte=0.3)))
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert "Dropped by length: short" in pages[0]
