from __future__ import annotations

import re
from typing import Any

import altair as alt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WinnowError
from pipeline.report.charts import svg

BARS: dict[str, Any] = {
    "data": {"values": [{"name": "wiki", "n": 3}, {"name": "law", "n": 5}]},
    "mark": "bar",
    "encoding": {
        "y": {"field": "name", "type": "nominal"},
        "x": {"field": "n", "type": "quantitative"},
    },
}
CLIPPED = BARS | {
    "mark": {
        "type": "bar",
        "clip": True,
        "color": {
            "gradient": "linear",
            "stops": [{"offset": 0, "color": "red"}, {"offset": 1, "color": "blue"}],
        },
    }
}


def labelled(name: str) -> dict[str, Any]:
    return BARS | {"data": {"values": [{"name": name, "n": 1}]}}


def test_a_drawing_is_one_described_image_with_its_labels_as_text() -> None:
    drawing = svg(BARS, 'bars of "documents"', "f-")
    assert drawing.startswith("<svg ")
    assert 'role="img"' in drawing
    assert drawing.count("aria-label") == 1
    assert 'aria-label="bars of &quot;documents&quot;"' in drawing
    assert ">wiki</text>" in drawing


def test_the_drawing_scales_and_takes_the_house_style() -> None:
    drawing = svg(BARS, "bars", "f-")
    assert "viewBox" in drawing
    assert "#1f4e8c" in drawing
    assert "Liberation Sans" in drawing


def test_the_default_size_of_altair_gives_way_to_ours_and_a_chosen_one_stays() -> None:
    chart = alt.Chart(alt.Data(values=BARS["data"]["values"])).mark_line()
    chart = chart.encode(x="n:Q", y="n:Q")
    width = re.compile(r'width="(\d+)"')
    ours = width.search(svg(chart.to_dict(), "a", "f-"))
    chosen = width.search(svg(chart.properties(width=200).to_dict(), "a", "f-"))
    assert ours is not None
    assert chosen is not None
    assert int(ours[1]) > 640
    assert int(chosen[1]) < 300


def test_ids_of_two_drawings_never_meet_and_references_follow_them() -> None:
    first, second = svg(CLIPPED, "a", "figure-1-"), svg(CLIPPED, "a", "figure-2-")
    ids = re.findall(r' id="([^"]+)"', first)
    assert ids
    assert all(id_.startswith("figure-1-") for id_ in ids)
    assert set(re.findall(r"url\(#([^)]+)\)", first)) <= set(ids)
    assert set(ids).isdisjoint(re.findall(r' id="([^"]+)"', second))


def test_equal_specifications_give_equal_drawings_whatever_was_drawn_before() -> None:
    first = svg(CLIPPED, "a", "f-")
    svg(CLIPPED | {"height": 77}, "a", "f-")
    again = svg(CLIPPED | {"description": "so that it is drawn anew"}, "a", "f-")
    assert again == first


def test_markup_in_data_stays_text() -> None:
    drawing = svg(labelled("<script>alert(1)</script>"), "<b>", "f-")
    assert "<script" not in drawing
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in drawing
    assert 'aria-label="&lt;b&gt;"' in drawing


def test_links_and_pictures_from_elsewhere_are_left_out() -> None:
    link = BARS | {"mark": {"type": "bar", "href": "https://example.com/"}}
    picture = {
        "data": {"values": [{"u": "https://example.com/a.png", "x": 1}]},
        "mark": {"type": "image", "width": 9, "height": 9},
        "encoding": {"url": {"field": "u"}, "x": {"field": "x", "type": "quantitative"}},
    }
    for spec in (link, picture):
        assert "example.com" not in svg(spec, "a", "f-")


@pytest.mark.parametrize(
    "spec",
    [
        {"mark": "nonsense"},
        BARS | {"data": {"url": "https://example.com/data.csv"}},
        BARS | {"data": {"url": "file:///etc/hostname"}},
    ],
)
def test_what_cannot_be_drawn_or_would_be_fetched_is_an_error(spec: dict[str, Any]) -> None:
    with pytest.raises(WinnowError, match="could not be drawn") as caught:
        svg(spec, "a", "f-")
    assert caught.value.code == "chart-failed"
    assert "inline" in caught.value.hint


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(), max_size=20))
def test_any_label_can_be_drawn(name: str) -> None:
    svg(labelled(name), name, "f-").encode("utf-8")


def test_the_specification_is_left_as_it_was() -> None:
    spec = labelled("a\x00b")
    svg(spec, "a", "f-")
    assert spec == labelled("a\x00b")
