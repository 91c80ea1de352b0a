"""Faults 57 and 10: HTML, scripts, NUL and bidi controls in documents are shown, never obeyed."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from committed_run import Length, Listed, Vowels, metrics_stage, read_stage
from report_pages import large_page

from pipeline.report.funnel import funnel_sections
from pipeline.report.page import Page, render

HOSTILE = [
    "<script>document.title = 'pwned'</script>",
    "</style></script><script src=//example.com/x.js></script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "<svg onload=alert(1)><foreignObject><iframe src=javascript:alert(1)>",
    "{{ 7 * 7 }}{% include '/etc/passwd' %}",
    "<!-- --><base href=//example.com><meta http-equiv=refresh content=0>",
    "\x00\x1b[2J\u202edetrevni\u202c\ufeff\u2028<b>",
]
HOSTILE_TAGS = {"script", "img", "iframe", "foreignobject", "base", "b", "object", "embed"}


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.attributes: set[str] = set()
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def assert_harmless(html: str) -> None:
    tags = Tags(html)
    assert not tags.found & HOSTILE_TAGS
    assert not [name for name in tags.attributes if name.startswith("on") or name == "src"]
    assert html.count("http-equiv") - html.count("http-equiv=refresh") == 1
    for hidden in "\x00\x1b\u202e\u202c\ufeff\u2028":
        assert hidden not in html


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_every_field_of_a_page_is_only_text(text: str) -> None:
    assert_harmless(render(large_page(text)))


def test_hostile_documents_of_a_run_are_shown_and_harmless(tmp_path: Path) -> None:
    documents = tuple((text, text) for text in HOSTILE)
    # Names of sources are checked by the manifest; ids, texts, codes and messages are not.
    source = Listed(documents=documents, bad=tuple((text, text) for text in HOSTILE))
    stage = read_stage(tmp_path, {"web": source}, {"length": Length(low=40), "score": Vowels()})
    metrics = metrics_stage(tmp_path, "found", {text: text for text in HOSTILE})
    html = render(Page("run", "", [], "", funnel_sections([stage, metrics])))
    assert_harmless(html)
    shown = "".join(Tags(html).text)
    assert "{{ 7 * 7 }}" in shown
    assert "<base href=//example.com>" in shown
    assert "U+0000U+001B[2JU+202EdetrevniU+202CU+FEFFU+2028<b>" in shown
