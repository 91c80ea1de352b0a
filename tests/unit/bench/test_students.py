"""The cross-validation of students: its shape, that it finds what is there, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import orjson
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "bench" / "students.py"

GOOD = "the committee reported that members of the council had agreed on what to do about water"
BAD = "click here buy now best price cheap [ ] login subscribe share next page | home | top 10"


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_students", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BENCH = loaded()


def script(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def write(path: Path, rows: list[Any]) -> Path:
    data = b"\n".join(row if isinstance(row, bytes) else orjson.dumps(row) for row in rows)
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)
    return path


def made_up(n: int, noise: float = 0.0) -> list[dict[str, Any]]:
    """Documents whose words tell their label, but for a share of ``noise``."""
    random = np.random.default_rng(4)
    rows = []
    for number in range(n):
        label = number % 2
        told = 1 - label if random.random() < noise else label
        words = random.permutation((GOOD if told else BAD).split()).tolist()
        rows.append({"text": f"{' '.join(words)} {number}", "label": label})
    return rows


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = write(tmp_path_factory.mktemp("gold") / "gold.jsonl.zst", made_up(60))
    ran = script("--gold", path, "--json", "--folds", 3)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return dict(json.loads(ran.stdout))


def test_every_student_finds_what_words_tell(report: dict[str, Any]) -> None:
    assert report["documents"] == 60
    assert list(report["students"]) == ["fasttext", "linear", "mlp"]
    for row in report["students"].values():
        assert row["f1"] > 0.9
        assert row["spearman"] > 0.7
        for name in ("spearman", "kappa", "f1"):
            low, high = row[f"{name}_95"]
            assert low <= row[name] <= high <= 1
        assert row["documents_per_second"] > 0


def test_the_table_shows_figures_with_intervals(report: dict[str, Any]) -> None:
    told = BENCH.table(report)
    assert told.startswith("60 documents")
    row = report["students"]["linear"]
    low, high = row["kappa_95"]
    assert f"| linear | {row['spearman']:.3f} [" in told
    assert f"{row['kappa']:.3f} [{low:.3f}, {high:.3f}]" in told


def test_labels_that_texts_do_not_tell_are_not_found() -> None:
    rows = made_up(60, noise=0.5)
    labels = np.array([row["label"] for row in rows], dtype=np.float64)
    found = BENCH.measure([row["text"] for row in rows], labels, ["linear"], 3, 1)
    low, high = found["students"]["linear"]["spearman_95"]
    assert low < 0.3
    assert found["students"]["linear"]["spearman"] < 0.4
    assert high < 0.7


def test_scales_of_several_grades_and_fractions_are_measured() -> None:
    rows = made_up(60)
    labels = np.array([row["label"] * 3 + number % 4 / 2 for number, row in enumerate(rows)])
    found = BENCH.measure([row["text"] for row in rows], labels, ["linear"], 3, 1)
    row = found["students"]["linear"]
    assert row["spearman"] > 0.6
    assert row["f1"] > 0.8


def test_the_same_run_gives_the_same_figures() -> None:
    rows = made_up(40, noise=0.2)
    labels = np.array([row["label"] for row in rows], dtype=np.float64)
    one, two = (
        BENCH.measure([row["text"] for row in rows], labels, ["fasttext", "linear"], 3, 5)
        for _ in range(2)
    )
    for name, row in one["students"].items():
        for figure in ("spearman", "kappa", "f1", "spearman_95"):
            assert row[figure] == two["students"][name][figure]


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 1.0, 2.5]), st.text(max_size=3)), min_size=20),
    st.integers(2, 10),
)
def test_parts_are_stratified_and_keep_copies_together(
    rows: list[tuple[float, str]], folds: int
) -> None:
    labels, texts = np.array([label for label, _ in rows]), [text for _, text in rows]
    part = BENCH.parts(labels, texts, folds, 3)
    assert set(part.tolist()) <= set(range(folds))
    copies: dict[str, set[int]] = {}
    for text, number in zip(texts, part.tolist(), strict=True):
        copies.setdefault(text.strip(), set()).add(number)
    assert {len(numbers) for numbers in copies.values()} == {1}
    firsts = [texts.index(text) for text in dict.fromkeys(texts)]
    if len(firsts) == len(texts) == len(copies):
        for label in set(labels.tolist()):
            counts = np.bincount(part[labels == label], minlength=folds)
            assert counts.max() - counts.min() <= 1


ROWS = made_up(40)


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("gold.txt", ROWS, "neither .jsonl nor .jsonl.zst"),
        ("gold.jsonl", [], "0 documents are too few"),
        ("gold.jsonl", ROWS[:19], "19 documents are too few"),
        ("gold.jsonl", [*ROWS, {"label": 1}], "gold.jsonl:41 has no `text`"),
        ("gold.jsonl", [*ROWS, {"text": 7, "label": 1}], "gold.jsonl:41 has no `text`"),
        ("gold.jsonl", [*ROWS, ["text"]], "gold.jsonl:41 has no `text`"),
        ("gold.jsonl", [*ROWS, {"text": "a"}], "gold.jsonl:41 has no `label`"),
        ("gold.jsonl", [*ROWS, {"text": "a", "label": "good"}], "gold.jsonl:41 has no `label`"),
        ("gold.jsonl", [*ROWS, b'{"text": "a", '], "gold.jsonl:41 is no JSON"),
        ("gold.jsonl", [{**row, "label": 1} for row in ROWS], "all labels are 1"),
        ("gold.jsonl", [{**row, "text": " \n"} for row in ROWS], "all texts are empty"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    rows: list[Any],
    message: str,
) -> None:
    path = write(tmp_path / name, rows)
    assert BENCH.main(["--gold", str(path), "--json"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert "(hint: " in said.err
    assert said.err.count("\n") == 1


def test_files_that_cannot_be_read_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert BENCH.main(["--gold", str(tmp_path / "none.jsonl")]) == 2
    assert "there is no file" in capsys.readouterr().err
    whole = write(tmp_path / "gold.jsonl.zst", made_up(60)).read_bytes()
    (tmp_path / "gold.jsonl.zst").write_bytes(whole[:-20])
    assert BENCH.main(["--gold", str(tmp_path / "gold.jsonl.zst")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert BENCH.main(["--gold", str(tmp_path), "--folds", "1"]) == 2
    assert BENCH.main([]) == 2
    assert BENCH.main(["--gold", str(write(tmp_path / "a.jsonl", ROWS)), "--folds", "99"]) == 2
    assert "99 folds of 40 documents" in capsys.readouterr().err


def test_the_script_exits_with_two() -> None:
    ran = script("--gold", "nowhere.jsonl")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
