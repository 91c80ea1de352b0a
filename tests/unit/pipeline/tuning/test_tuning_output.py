from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """The command line in this process and the project's folder: exit code, output, errors."""
    monkeypatch.chdir(measured.parent)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["winnow", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), out.replace("\u00a0", " "), err

    yield call
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_measure_says_where_rows_went_and_what_it_skipped(run: Run, measured: Path) -> None:
    code, out, _ = run("measure", "m.yaml")
    assert code == 0
    assert "reused in" in out
    assert "13 rows in = 12 measured + 1 quarantined" in out
    assert "not measured, need all documents at once: exact_dedup" in out
    assert "out/measure/report.html" in out


def test_tune_shows_tables_documents_and_the_page(run: Run, measured: Path) -> None:
    code, out, err = run("tune", "m.yaml", "--set", "steps.Sized.least=4")
    assert (code, err) == (0, "")
    assert out.startswith("steps.Sized.least: 5 → 4\nkeeps 2 more documents (+8 B of text)")
    for title in ("What each filter", "Overlap of", "What each rule", "What is kept of each"):
        assert title in out
    assert "nearest to Sized.length ≥ 4:\n  removed" in out
    assert "a1-0  tiny" in out
    assert out.endswith("page: out/tune.html\n")
    assert (measured.parent / "out" / "tune.html").exists()


def test_the_page_goes_to_the_named_file(run: Run, measured: Path) -> None:
    code, out, _ = run("tune", "m.yaml", "--html", "there/page.html")
    assert code == 0
    assert out.endswith("page: there/page.html\n")
    assert "<html" in (measured.parent / "there" / "page.html").read_text()
    assert not (measured.parent / "out" / "tune.html").exists()
    code, _, err = run("tune", "m.yaml", "--html", "m.yaml/page.html")
    assert code == 2
    assert err.startswith("page-not-writable")


def test_json_holds_the_same_numbers(run: Run, measured: Path) -> None:
    code, out, _ = run("tune", "m.yaml", "--json", "--set", "steps.Sized.least=4")
    assert code == 0
    found = json.loads(out)
    assert found["changes"] == ["steps.Sized.least: 5 → 4"]
    assert (found["kept"]["documents"], found["kept_before"]["documents"]) == (6, 4)
    assert found["gained"]["by_source"]["a"]["documents"] == 2
    assert [f["step"] for f in found["filters"]] == ["Sized", "Trim", "Loud"]
    short = found["filters"][0]["rules"][0]
    assert (short["parameter"], short["least"], short["most"]) == ("least", 4, None)
    assert short["removes"]["documents"] == 2
    assert short["removed_before"] == 4
    (boundary,) = short["nearest"]
    assert boundary["kept"][0]["value"] == 4
    assert {row["id"] for row in boundary["removed"]} == {"b1-1", "b1-2"}
    assert found["overlap"][0][0] == found["filters"][0]["removes"]["documents"]
    assert not (measured.parent / "out" / "tune.html").exists()


def test_written_thresholds_are_shown_and_hold(run: Run, measured: Path) -> None:
    sets = ("--set", "steps.Sized.least=4", "--set", "steps.Trim.most=9")
    code, out, _ = run("tune", "m.yaml", *sets, "--write")
    assert code == 0
    assert out.endswith(
        "m.yaml: written\n"
        "-   - filters.py:Sized: {least: 5}      # characters\n"
        "+   - filters.py:Sized: {least: 4}      # characters\n"
        "-   - filters.py:Trim\n"
        "+   - filters.py:Trim: {most: 9}\n"
    )
    code, out, _ = run("tune", "m.yaml")
    assert code == 0, "what was measured is measured still"
    assert out.startswith("The filters keep 7 of 12 documents")
    _, out, _ = run("tune", "m.yaml", *sets, "--write")
    assert out.endswith("m.yaml: nothing to write, it has these values\n")


def test_what_cannot_be_shown_is_2_and_says_what_to_do(run: Run, measured: Path) -> None:
    code, _, err = run("tune", "m.yaml", "--write")
    assert (code, err.split()[0]) == (2, "nothing-to-write")
    code, _, err = run("tune", "m.yaml", "--set", "steps.Sized.letter=y")
    assert code == 2
    assert "winnow measure m.yaml --set steps.Sized.letter=y" in err
    code, _, err = run("tune", "m.yaml", "--set", "steps.Sizd.least=y", "--write")
    assert code == 2
    assert "did you mean 'Sized'" in err
    assert "least: 5" in measured.read_text()


def test_what_was_measured_elsewhere_is_found_there(run: Run, measured: Path) -> None:
    other = measured.parent / "other"
    other.mkdir()
    for name in ("out", ".store"):
        (measured.parent / name).rename(other / name)
    code, _, err = run("tune", "m.yaml")
    assert code == 2
    assert err.endswith("hint: measure first: winnow measure m.yaml\n")
    code, out, _ = run("tune", "m.yaml", "--output", "other/out")
    assert code == 0
    assert out.endswith("page: other/out/tune.html\n")


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("steps.minhash_dedup.jaccard=0.7", "minhash_dedup has nothing to tune: it needs all"),
        ("mixes.all=proportional", "mixes has nothing to tune: it comes after the filters"),
    ],
)
def test_what_has_nothing_to_tune_is_refused_with_the_plan_to_ask(
    run: Run, measured: Path, override: str, why: str
) -> None:
    measured.write_text(measured.read_text().replace("exact_dedup", "minhash_dedup"))
    code, out, err = run("tune", "m.yaml", "--set", override)
    assert (code, out) == (2, "")
    assert why in err
    assert f"winnow plan m.yaml --set {override}" in err
