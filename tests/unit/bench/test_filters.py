"""The comparison with datatrove: its shape, what it counts, and that it finds a difference."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "bench" / "filters.py"
sys.path.append(str(ROOT))  # for bench.versus, which is in no installed package

from bench.versus import ours, run, shards  # noqa: E402
from bench.versus.outcomes import Side, TaskResult, compare, digest  # noqa: E402
from bench.versus.pinned import fresh  # noqa: E402

SENTENCE = "The cat that I have seen sat with the dog on a mat of straw and grass.\n"
TEXTS = [SENTENCE * (n % 5 + 1) + " ".join(f"word{n}and{i}" for i in range(70)) for n in range(20)]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    path = tmp_path / "docs.jsonl"
    write(path, TEXTS)
    return path


def write(path: Path, texts: Sequence[str]) -> None:
    rows = (orjson.dumps({"id": f"d{n}", "text": text}) for n, text in enumerate(texts))
    path.write_bytes(b"\n".join(rows))


def script(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def side(*outcomes: TaskResult) -> Side:
    made = Side()
    for position, outcome in enumerate(outcomes):
        made.add(position, f"d{position}", outcome)
    return made


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    path = tmp_path_factory.mktemp("bench") / "docs.jsonl"
    write(path, TEXTS)
    ran = script(
        *("--docs", path, "--filters", "gopher_repetition", "gopher_quality"),
        *("--limit", 15, "--no-peers", "--json"),
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def test_both_gopher_filters_agree_and_are_timed(report: dict[str, Any]) -> None:
    assert report["differences"] == report["datatrove_errors"] == report["peers"] == []
    rows = {name: row for name, row in report.items() if isinstance(row, dict)}
    assert set(rows) == {"gopher_repetition", "gopher_quality"}
    for row in rows.values():
        assert row["documents"] == 15
        assert row["decisions_equal"] == row["texts_equal"] == row["reasons_equal"] == 1.0
        assert row["ours_mb_s"] > 0
        assert row["ratio"] == pytest.approx(row["ours_mb_s"] / row["datatrove_mb_s"])


def test_the_table_says_what_was_measured_on_how_many(report: dict[str, Any]) -> None:
    told = loaded().table(report)
    assert "Ours: 20 documents" in told
    assert "15 documents drawn at random" in told
    assert "| gopher_quality | 15 | 100.00% |" in told


@pytest.mark.parametrize(
    ("planted", "differs", "left_equal"),
    [
        (TaskResult("short"), "decision, reason, text", (2, 2, 2, 3)),
        (TaskResult("", digest("B")), "text", (3, 3, 2, 3)),
        (TaskResult("", digest("b"), "fr"), "value", (3, 3, 3, 2)),
    ],
)
def test_a_planted_difference_is_found(
    planted: TaskResult, differs: str, left_equal: tuple[int, ...]
) -> None:
    theirs = side(TaskResult("", digest("a")), TaskResult("", digest("b")), TaskResult("long"))
    mine = dict(theirs.outcomes)
    assert compare("f", mine, theirs).equal
    mine[1] = planted
    found = compare("f", mine, theirs)
    assert [(each["id"], each["differs"]) for each in found.differences] == [("d1", differs)]
    assert list(found.shares().values()) == [count / 3 for count in left_equal]


def test_another_reason_is_a_difference_but_the_same_decision() -> None:
    found = compare("f", {0: TaskResult("short")}, side(TaskResult("long")))
    assert found.shares()["decisions_equal"] == 1.0
    assert found.shares()["reasons_equal"] == 0.0
    assert not found.equal


def test_where_the_other_side_raises_nothing_is_compared_and_nothing_hidden() -> None:
    theirs = side(TaskResult("", error="ZeroDivisionError: no words"), TaskResult("", digest("a")))
    found = compare("f", {0: TaskResult("empty"), 1: TaskResult("", digest("a"))}, theirs)
    assert (found.documents, found.shares()["decisions_equal"]) == (1, 1.0)
    told = {"filter": "f", "id": "d0", "error": "ZeroDivisionError: no words", "ours": "empty"}
    assert found.errors == [told]


def test_nothing_compared_is_no_difference() -> None:
    assert set(compare("f", {}, Side()).shares().values()) == {1.0}


def test_fused_steps_name_what_dropped_and_the_text_that_loads_them_passes(tmp_path: Path) -> None:
    path = tmp_path / "docs.jsonl"
    write(path, [*TEXTS, *ours.WARM])
    measured = fresh(ours.measure, ours.steps(ours.RECIPE), [path], range(22))
    assert measured.side.documents == 22
    outcomes = list(measured.side.outcomes.values())
    assert outcomes[0].reason == "c4_quality: too_few_sentences"
    assert outcomes[4].reason.startswith("gopher_repetition: ")
    assert outcomes[20].reason == ""
    assert len(outcomes[20].value) == 14
    assert all((o.text is None) == bool(o.reason) for o in outcomes)


def test_a_sample_is_random_repeatable_and_bounded(documents: Path) -> None:
    every = shards.sample([documents])
    assert sorted(item.position for item in every) == list(range(20))
    assert [item.position for item in every] != list(range(20))
    few = shards.sample([documents], most=5_000)
    assert few == every[: len(few)]
    assert 0 < sum(len(item.text) for item in few) <= 5_000


def test_parquet_is_read_like_json_lines(documents: Path, tmp_path: Path) -> None:
    path = tmp_path / "docs.parquet"
    pq.write_table(pa.table({"id": [f"d{n}" for n in range(20)], "text": TEXTS}), path)
    texts = [item.text for item in shards.items([documents])]
    assert texts == [item.text for item in shards.items([path])] == TEXTS


def test_rows_without_text_are_left_out_and_counted(documents: Path, tmp_path: Path) -> None:
    with documents.open("ab") as lines:
        lines.write(b'\n{"body": "no text"}\n')
    found = fresh(run.prepared, [documents], tmp_path)
    assert found.unread == ["docs.jsonl: 1 rows that the engine would quarantine"]
    assert not found.urls
    assert len(list(shards.items(found.files))) == 20


def test_scripts_beside_it_still_find_the_package_of_its_name() -> None:
    code = f"import sys; sys.path[0] = {str(SCRIPT.parent)!r}; import filters.gopher_quality as g; "
    ran = subprocess.run(
        [sys.executable, "-c", code + "print(g.__file__)"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert Path(ran.stdout.strip()) == ROOT / "filters" / "gopher_quality.py", ran.stderr


def loaded() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_filters", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_folders_are_searched_and_other_files_refused(tmp_path: Path, documents: Path) -> None:
    module = loaded()
    (tmp_path / "notes.txt").write_text("no documents")
    assert module.files([tmp_path]) == [documents]
    with pytest.raises(SystemExit, match=r"notes\.txt: not one of"):
        module.files([tmp_path / "notes.txt"])
    with pytest.raises(SystemExit, match="no documents"):
        module.files([tmp_path / "nothing"])
