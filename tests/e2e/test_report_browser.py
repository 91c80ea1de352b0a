"""The report in a real browser: it fits the window, runs nothing, asks for nothing, and prints."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from needs import need
from report_pages import large_page, small_page

from pipeline.report.page import render

HOSTILE = (
    "<script>document.title = 'pwned'</script>"
    "<img src=x onerror=\"document.title = 'pwned'\">\x00\u202e words that may break, "
)
# What a reader could see cut off or would have to scroll for; drawings scale, so they may not
# stick out of their figure either.
PROBE = """
<script>
const wide = [...document.querySelectorAll("main *")].filter(
  (e) => !e.closest(".scroll, svg") && e.getBoundingClientRect().right > innerWidth + 0.5);
const root = document.documentElement;
root.setAttribute("data-overflow", root.scrollWidth - root.clientWidth);
root.setAttribute("data-wide", wide.map((e) => e.tagName + "." + e.className).join(" "));
</script>
"""

Browser = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """Runs headless Chromium on a file with further options; it reaches no network."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or ""
    need("chromium", bool(program))
    profile = tmp_path_factory.mktemp("profile")
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={profile}"),
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]

    def run(page: Path, *more: str) -> subprocess.CompletedProcess[str]:
        command = [program, *options, *more, page.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)

    return run


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of the hardest kind: endless words, hostile text, wide tables and drawings."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(render(large_page(HOSTILE)), encoding="utf-8")
    return path


def without_policy(html: str) -> str:
    """The page without its content security policy, so that only escaping stands in the way."""
    bare, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    assert count == 1
    return bare


def messages(result: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in result.stderr.splitlines() if ":CONSOLE" in line]


@pytest.mark.parametrize("width", [800, 1280, 1440])
@pytest.mark.parametrize("page", ["large", "small"])
def test_nothing_sticks_out_of_the_window(
    browser: Browser, report: Path, tmp_path: Path, width: int, page: str
) -> None:
    html = report.read_text() if page == "large" else render(small_page())
    probed = tmp_path / "probed.html"
    probed.write_text(without_policy(html).replace("</body>", PROBE + "</body>"))
    dom = browser(probed, "--dump-dom", f"--window-size={width},900").stdout
    assert re.findall(r'data-(overflow|wide)="([^"]*)"', dom) == [("overflow", "0"), ("wide", "")]


def test_the_browser_has_nothing_to_complain_of(browser: Browser, report: Path) -> None:
    assert messages(browser(report, "--dump-dom")) == []


def test_complaints_would_be_seen(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<script>nonsense()</script>")
    assert messages(browser(page, "--dump-dom"))


@pytest.mark.parametrize("policy", [True, False], ids=["as-is", "without-policy"])
def test_a_script_in_a_document_does_not_run(
    browser: Browser, report: Path, tmp_path: Path, policy: bool
) -> None:
    html = report.read_text()
    page = tmp_path / "page.html"
    page.write_text(html if policy else without_policy(html))
    dom = browser(page, "--dump-dom", "--virtual-time-budget=2000").stdout
    title = re.search("<title>(.*?)</title>", dom)
    assert title is not None
    assert title[1] == "x" * 120


def test_it_prints_on_a4_with_selectable_text_and_without_navigation(
    browser: Browser, tmp_path: Path
) -> None:
    need("poppler", shutil.which("pdftotext") is not None)
    page, paper = tmp_path / "page.html", tmp_path / "paper.pdf"
    page.write_text(render(small_page()))
    browser(page, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    about = subprocess.run(["pdfinfo", paper], capture_output=True, text=True, check=True).stdout
    assert re.search(r"^Pages: +2$", about, re.MULTILINE)
    assert re.search(r"^Page size: +59\d.* x 84\d.* pts \(A4\)$", about, re.MULTILINE)
    text = subprocess.run(
        ["pdftotext", "-layout", paper, "-"], capture_output=True, text=True, check=True
    ).stdout
    assert "“half” is better than “natural”." in text
    assert "▲ better" in " ".join(text.split())
    assert "Figure 1" in text
    assert "law" in text  # a label inside the drawing
    assert "Skip to the report" not in text


def test_a_long_report_prints_on_several_numbered_pages(
    browser: Browser, report: Path, tmp_path: Path
) -> None:
    need("poppler", shutil.which("pdftotext") is not None)
    paper = tmp_path / "paper.pdf"
    browser(report, "--no-pdf-header-footer", f"--print-to-pdf={paper}")
    text = subprocess.run(
        ["pdftotext", "-layout", paper, "-"], capture_output=True, text=True, check=True
    ).stdout
    pages = text.rstrip("\f").split("\f")
    assert len(pages) > 3
    for number, page in enumerate(pages, start=1):
        assert "".join(page.split()).endswith(f"{number}/{len(pages)}")
