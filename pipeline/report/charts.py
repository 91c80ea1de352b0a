"""Vega-Lite specifications drawn as SVG that can stand inside an HTML page.

Drawing happens on this machine (vega_process.py) and never touches the network. A specification
needs no colours, fonts or sizes of its own: the style of the report supplies them.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import orjson

from pipeline.errors import WinnowError
from pipeline.report.format import visible
from pipeline.report.vega_process import VegaProcess

INK: Final = "#1c2127"
MUTED: Final = "#5a6470"
ACCENT: Final = "#1f4e8c"
PALE: Final = "#c9d3e0"
# Distinct for readers with any colour vision and in grey; the accent comes first.
PALETTE: Final = (
    ACCENT,
    "#d97a1e",
    "#2f9a8a",
    "#9c3f78",
    "#7d8894",
    "#b29a1f",
    "#57a0dd",
    "#54407f",
)
# Same metrics on every system, so labels measured here fit there.
FONT: Final = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif"

_CONFIG: Final[dict[str, Any]] = {
    "background": None,
    "font": FONT,
    "padding": 4,
    "view": {"stroke": None, "continuousWidth": 640, "continuousHeight": 260, "step": 30},
    "axis": {
        "labelColor": MUTED,
        "labelFontSize": 12,
        "labelLimit": 220,
        "titleColor": INK,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 10,
        "domainColor": "#9aa4af",
        "tickColor": "#9aa4af",
        "gridColor": "#e6eaee",
    },
    "axisBand": {"domain": False, "ticks": False, "grid": False, "labelPadding": 8},
    "axisQuantitative": {"tickCount": 6},
    "scale": {"barBandPaddingInner": 0.3},
    "legend": {
        "labelColor": INK,
        "labelFontSize": 12,
        "labelLimit": 240,
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "symbolStrokeWidth": 2,
    },
    "header": {
        "labelColor": INK,
        "labelFontSize": 12,
        "labelFontWeight": "bold",
        "titleColor": MUTED,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    },
    "title": {"color": INK, "fontSize": 13, "fontWeight": "bold", "anchor": "start", "offset": 10},
    "mark": {"color": ACCENT},
    "bar": {"color": ACCENT},
    "line": {"color": ACCENT, "strokeWidth": 2},
    "rule": {"color": INK},
    "text": {"color": INK, "fontSize": 12},
    "range": {
        "category": list(PALETTE),
        "heatmap": ["#f2f5f9", ACCENT],
        "ramp": ["#dfe7f1", ACCENT],
    },
}
# What Altair writes into every chart; it would hide our default size.
_ALTAIR_VIEW: Final = {"continuousWidth": 300, "continuousHeight": 300}
_VEGA: Final = VegaProcess()
_ASTRAL: Final = re.compile(r"[\U00010000-\U0010ffff]")
_REFERENCE: Final = re.compile(r"url\([\"']?#([^)\"']+)[\"']?\)")


def svg(spec: Mapping[str, Any], alt: str, prefix: str) -> str:
    """``spec`` as an ``<svg>`` element for inline use, described by ``alt``.

    Every id in it begins with ``prefix``, so that several drawings can share a page; nothing in it
    points outside. Raises WinnowError when the specification cannot be drawn.
    """
    root = ET.fromstring(_draw(orjson.dumps(_clean(spec), option=orjson.OPT_SORT_KEYS)))
    # Vega counts ids through the life of the process; ours depend on this drawing alone.
    ids = [part.attrib["id"] for part in root.iter() if "id" in part.attrib]
    renamed = {old: f"{prefix}{number}" for number, old in enumerate(ids)}
    for parent in root.iter():
        for child in list(parent):
            if _local(child.tag) in ("script", "foreignObject"):
                parent.remove(child)
        parent.tag = _local(parent.tag)
        parent.attrib = dict(_attributes(parent.attrib, renamed))
    root.set("role", "img")
    root.set("aria-label", visible(alt))
    return ET.tostring(root, encoding="unicode")


@lru_cache(maxsize=256)
def _draw(spec: bytes) -> str:
    try:
        return _VEGA.svg(spec, _CONFIG)
    except ValueError as error:
        raise _failure(" ".join(str(error).split())[:300]) from error


def _failure(why: str) -> WinnowError:
    hint = "the specification must be valid Vega-Lite with its data inline"
    return WinnowError("chart-failed", f"a chart could not be drawn: {why}", hint)


def _clean(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without Altair's default size and without characters that XML cannot hold."""
    cleaned: dict[str, Any] = _visible(spec)
    config = dict(cleaned.get("config", {}))
    if config.get("view") == _ALTAIR_VIEW:
        del config["view"]
    return {**cleaned, "config": config}


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return _bmp(visible(value))
    if isinstance(value, Mapping):
        if isinstance(data := value.get("data"), Mapping) and "url" in data:
            raise _failure(f"its data are elsewhere, at {data['url']}")
        return {_bmp(visible(str(key))): _visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(item) for item in value]
    return value


def _bmp(text: str) -> str:
    """``text`` with characters beyond U+FFFF named: Vega shortens labels by UTF-16 units, and half
    of such a character cannot be measured."""
    return _ASTRAL.sub(lambda found: f"U+{ord(found[0]):X}", text)


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _attributes(given: Mapping[str, str], renamed: Mapping[str, str]) -> list[tuple[str, str]]:
    """Attributes fit for a shared page. The drawing is one image to assistive technology, so roles
    and labels of its parts go; references stay inside the drawing or go."""
    kept = []
    for name, value in ((_local(name), value) for name, value in given.items()):
        if name.startswith(("aria-", "on")) or name == "role":
            continue
        if name == "id":
            value = renamed[value]
        elif name == "href":
            if value.removeprefix("#") not in renamed:
                continue
            value = f"#{renamed[value.removeprefix('#')]}"
        kept.append((name, _REFERENCE.sub(lambda found: f"url(#{renamed[found[1]]})", value)))
    return kept
