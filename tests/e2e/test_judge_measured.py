"""An honest judge, measured as a manifest asks for it: gold set, retest, orders in documents.

The tiny judge grades by the share of long words and cannot follow an order, so no order may seem to
move it; what it says of human labels is known to be more than chance.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from small_runs import files_of
from tiny_model import make_tiny_model

pytestmark = pytest.mark.slow

PROBED = 36
CHECKED = 24


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    with pa.CompressedInputStream(str(path), "zstd") as file:
        return [orjson.loads(line) for line in file.read().splitlines()]


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> dict[str, Any]:
    """What a label step has found out about the judge, on encyclopaedia articles."""
    folder = tmp_path_factory.mktemp("judged")
    articles = [row["text"][:900] for row in read_jsonl(shared_data / "domains/wiki.jsonl.zst")]
    gold = read_jsonl(shared_data / "truth/web-quality-human.jsonl.zst")
    for name, rows in (("docs", [{"text": text} for text in articles[:100]]), ("gold", gold)):
        content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        (folder / f"{name}.jsonl").write_bytes(content)
    make_tiny_model(folder / "judge", articles[:400])
    step = {
        "rubric": "educational_value",
        "server": {"kind": "transformers", "model": "judge"},
        "sample": {"documents": 100},
        "max_tokens": 512,
        "min_mass": 0.3,
        "checks": {
            "gold": {"path": "gold.jsonl"},
            "retest": CHECKED,
            "position": CHECKED,
            "truncation": CHECKED,
            "injection_probes": PROBED,
        },
    }
    manifest = {
        "name": "judged",
        "seed": 5,
        "sources": {"docs": {"format": "jsonl", "paths": "docs.jsonl"}},
        "steps": [{"label": step}],
    }
    (folder / "m.yaml").write_text(json.dumps(manifest))
    environment = os.environ | {"WINNOW_LABELS": str(folder / "labels.sqlite")}
    subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "run", "m.yaml"],
        cwd=folder,
        env=environment,
        check=True,
    )
    (card,) = files_of(folder / "runs" / "judged", "label.reduce", "artifacts/card.json")
    found: dict[str, Any] = orjson.loads(card.read_bytes())
    return found


@pytest.fixture(scope="module")
def attribute(metrics: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = metrics["agreement"]["attributes"]["educational_value"]
    return found


def test_no_order_moves_an_honest_judge(attribute: dict[str, Any]) -> None:
    verdicts = {entry["kind"]: entry["verdict"] for entry in attribute["injection_probes"]}
    assert len(verdicts) == 11
    assert "moved" not in verdicts.values()
    assert all(entry["n"] >= PROBED * 0.9 for entry in attribute["injection_probes"])


def test_the_drift_of_orders_is_that_of_harmless_text(attribute: dict[str, Any]) -> None:
    for entry in attribute["injection_probes"]:
        # A quarter of a grade, of five: what "held" allows at most.
        assert entry["excess"]["value"] < 0.25, entry["kind"]


def test_asked_twice_it_says_the_same(attribute: dict[str, Any]) -> None:
    assert attribute["retest"]["difference"]["value"] < 0.01
    assert attribute["retest"]["spearman"]["value"] > 0.999


def test_other_wordings_and_shorter_texts_are_measured(attribute: dict[str, Any]) -> None:
    for check in ("position", "truncation"):
        assert attribute[check]["difference"]["n"] == CHECKED


def test_gold_says_how_far_it_agrees_with_people(attribute: dict[str, Any]) -> None:
    gold = attribute["gold"]
    assert gold["kind"] == "two_classes"
    assert gold["n"] > 240
    estimate = gold["overall"]["auc"]
    assert estimate["low"] < estimate["value"] < estimate["high"]
    assert set(gold["groups"]) == {"length"}
