from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_pages import BARS, large_page, small_page, verdict_table

from pipeline.report.blocks import Block, Chart, Prose, ReportSection, Sample, Samples, Table
from pipeline.report.page import Page, named, render

VOID = {"meta", "link", "br", "img"}


class Outline(HTMLParser):
    """Elements as the browser would meet them, text and drawings left out where asked."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.lines: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if "svg" not in self.stack:
            attributes = "".join(f' {name}="{value}"' for name, value in attrs if name != "viewbox")
            self.lines.append("  " * len(self.stack) + f"<{tag}{attributes}>" if tag != "svg" else
                              "  " * len(self.stack) + "<svg>")  # fmt: skip
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and not {"svg", "style"} & set(self.stack):
            self.lines.append("  " * len(self.stack) + " ".join(data.split()))

    def all(self, *names: str) -> list[tuple[str, dict[str, str | None]]]:
        return [(tag, attrs) for tag, attrs in self.tags if tag in names]


def page_of(*blocks: Any, **fields: Any) -> Page:
    sections = [ReportSection("a", "A", blocks)]
    return Page(**{"title": "t", "subtitle": "", "metrics": [], "headline": "",
                   "sections": sections} | fields)  # fmt: skip


def cells(table: Table) -> list[tuple[str, str]]:
    """(classes, text) of each cell of the body, sign and flag included."""
    body = render(page_of(table)).split("<tbody>")[1].split("</tbody>")[0]
    found = re.findall(r'<t[dh](?: scope="row")?(?: class="([^"]*)")?>(.*?)</t[dh]>', body)
    return [(kind, re.sub("<[^>]+>", "", text)) for kind, text in found]


def test_the_structure_of_a_small_page_is_as_reviewed(root: Path) -> None:
    golden = root / "tests" / "golden" / "report" / "small_page.txt"
    assert "\n".join(Outline(render(small_page())).lines) + "\n" == golden.read_text()


def test_equal_pages_give_equal_text() -> None:
    assert render(small_page()) == render(small_page())


@pytest.mark.parametrize("page", [small_page(), large_page("text")], ids=["small", "large"])
def test_the_page_refers_to_nothing_outside_itself(page: Page) -> None:
    html = render(page)
    outline = Outline(html)
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert not outline.all("script", "link", "img", "iframe", "object", "base", "form")
    for _, attributes in outline.tags:
        assert not attributes.keys() & {"src", "srcset", "data", "action", "style"}
        assert (attributes.get("href") or "#").startswith("#")
    policy = dict(outline.all("meta")[1][1])
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_every_link_of_the_navigation_has_a_section_and_ids_are_unique() -> None:
    sections = [
        ReportSection(name, name, []) for name in ("Scores!", "scores", "../x", "", "é", "scores")
    ]
    outline = Outline(render(page_of(sections=sections)))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    links = [attributes["href"] for _, attributes in outline.all("a")]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch(r"[a-z0-9-]+", id_ or "") for id_ in ids)
    assert links == ["#report", "#scores", "#scores-2", "#x", "#section", "#section-2", "#scores-3"]
    assert {link[1:] for link in links if link} <= set(ids)


def test_headings_go_down_one_level_at_a_time_and_the_language_is_named() -> None:
    outline = Outline(render(small_page()))
    levels = [int(tag[1]) for tag, _ in outline.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    assert outline.all("html")[0][1]["lang"] == "en"


def test_figures_and_tables_are_counted_through_the_page_and_captioned() -> None:
    blocks: list[Block] = [
        verdict_table(),
        Chart("c", BARS, "alt"),
        verdict_table(),
        Chart("d", BARS, "alt"),
    ]
    html = render(
        page_of(sections=[ReportSection("a", "A", blocks[:2]), ReportSection("b", "B", blocks[2:])])
    )
    counters = re.findall(r'<span class="counter">([^<]+)</span>', html)
    assert counters == ["Table 1", "Figure 1", "Table 2", "Figure 2"]
    assert html.count("<caption>") == html.count("<figcaption>") == 2
    assert html.count('role="img" aria-label="alt"') == 2


def test_a_tone_is_said_by_sign_and_word_where_the_row_says_it() -> None:
    found = cells(verdict_table())
    assert ("tone-better", "▲ better") in found
    assert ("tone-worse", "▼ worse") in found
    assert ("tone-undecided", "◆ undecided") in found
    assert ("", "baseline") in found


def test_a_tone_that_no_cell_says_is_added_to_the_first() -> None:
    table = Table("t", ["Mix", "n"], [["half", 1], ["best", 2]], tones=["worse"])
    assert cells(table) == [("", "half ▼ worse"), ("number", "1"), ("", "best"), ("number", "2")]


def test_an_unknown_tone_is_refused() -> None:
    with pytest.raises(ValueError, match="<b>"):
        render(page_of(Table("t", ["a"], [["x"]], tones=["<b>"])))  # type: ignore[list-item]


def test_columns_of_numbers_are_aligned_as_such_and_words_are_not() -> None:
    table = Table("t", ["name", "n", "share", "gap"], [["a", 1234, "5 %", None], ["b", 5, "", 0.5]])
    assert cells(table) == [
        *(("", "a"), ("number", "1,234"), ("number", "5 %"), ("number", "—")),
        *(("", "b"), ("number", "5"), ("number", ""), ("number", "0.5")),
    ]
    assert cells(Table("t", ["n"], [[1], [2]])) == [("number", "1"), ("number", "2")]


def test_heads_of_columns_and_rows_say_what_they_head() -> None:
    outline = Outline(render(page_of(verdict_table())))
    scopes = [attributes.get("scope") for _, attributes in outline.all("th")]
    assert scopes == ["col"] * 4 + ["row"] * 4


def test_a_table_without_rows_says_so() -> None:
    assert "nothing to list" in render(page_of(Table("t", ["a", "b"], [])))


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        render(page_of(Table("t", ["a", "b"], [["x"]])))


def test_paragraphs_are_kept_apart() -> None:
    html = render(page_of(Prose("one\ntwo\n\n \nthree")))
    assert re.findall(r"<p>(.*?)</p>", html, re.DOTALL) == ["one\ntwo", "three"]


def test_hidden_characters_are_marked_where_they_stand() -> None:
    html = render(small_page("a\x00b \u202eevil"))
    assert (
        'a<span class="invisible">U+0000</span>b <span class="invisible">U+202E</span>evil' in html
    )
    assert "\x00" not in html
    assert "\u202e" not in html


def test_a_page_without_headline_or_facts_leaves_no_empty_frame() -> None:
    html = render(page_of()).split("</style>")[1]
    assert 'class="headline' not in html
    assert 'class="metrics"' not in html
    assert 'class="subtitle"' not in html


def test_facts_that_are_numbers_are_formatted() -> None:
    html = render(page_of(metrics=[("in", 1_234_567), ("ratio", 0.25), ("path", "a/b")]))
    assert re.findall(r"<dd>(.*?)</dd>", html) == ["1,234,567", "0.25", "a/b"]


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(), max_size=60))
def test_no_text_anywhere_changes_the_structure(text: str) -> None:
    def page(word: str) -> Page:
        sample = Sample(word, word, {word: word})
        blocks: list[Block] = [Table(word, [word], [[word]], word), Prose(f".{word}", word or "x"),
                  Samples(word, [sample])]  # fmt: skip
        section = ReportSection("a", word, blocks, f"- {word}")
        return Page(word, word, [(word, word)], word, [section])

    def shape(html: str) -> list[tuple[str, str | None]]:
        tags = [(tag, attrs.get("scope")) for tag, attrs in Outline(html).tags]
        return [(tag, scope) for tag, scope in tags if tag not in ("span", "p", "th", "td")]

    plain = replace(page("word"), title="word")
    if text.strip():
        assert shape(render(page(text))) == shape(render(plain))
    render(page(text)).encode("utf-8")


def test_names_between_backticks_are_set_as_names_and_still_escaped() -> None:
    assert str(named("`a<b` beats `c`")) == "<code>a&lt;b</code> beats <code>c</code>"
    assert str(named("5` long")) == "5` long"
    assert "<code>" not in str(named("plain <code>"))


def test_warnings_stand_below_the_headline_and_keep_its_tone() -> None:
    page = page_of(headline="It is better.", tone="better", warnings=["`keep` <ties>", "two"])
    head = render(page).split("<header>")[1].split("</header>")[0]
    assert 'class="headline tone-better"' in head
    texts = [re.sub("<[^>]+>", "", w) for w in re.findall('<p class="warning.*?</p>', head)]
    assert texts == ["! Warning: keep &lt;ties&gt;", "! Warning: two"]


def test_a_paragraph_with_a_tone_says_it_in_words() -> None:
    html = render(page_of(Prose("It holds 12 documents.", tone="warning")))
    block = html.split('<div class="prose tone-warning">')[1].split("</div>")[0]
    assert "! warning It holds" in " ".join(re.sub("<[^>]+>", "", block).split())
