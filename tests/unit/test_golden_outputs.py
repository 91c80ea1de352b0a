"""What every step and format makes of the same small input, compared with what it made before.

A difference means that equal input now gives something else. Then the class's ``version`` has to be
raised (or that of a room of kernels), so that results of the old code are not reused, and
``make golden`` writes the new outcome. The files show in a diff what changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from reading import read_all
from small_students import TOPICS, make_student
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.engine.fingerprint import digest, kernel_versions
from pipeline.engine.stage import Stage
from pipeline.manifest.registry import Registry
from pipeline.sources.source import SourceFormat
from pipeline.step import GlobalStep, ManifestView, RowStep, Step
from proxy.proxy_extension import ProxyExtension
from proxy.proxy_results import stages_by_name
from winnow.testing import Workbench, batch_of, run_global_step, run_row_step

FOLDER = Path(__file__).parents[1] / "golden" / "outputs"
WRITE = "WINNOW_WRITE_GOLDEN"

# What cannot be here, with the reason.
LEFT_OUT = {
    "label": "a served model decides; what it is asked is in tests/golden/prompts",
    "distill": "its training is that of the student which `score` has here",
    "installed": "its texts are those of the machine",
}
WORDS = [
    "the",
    "river",
    "and",
    "a",
    "house",
    "of",
    "stone",
    "was",
    "not",
    "with",
    "them",
    "that",
    "be",
    "have",
    "rain",
    "said",
    "42",
    "1,000",
    "new",
]
ODD = [
    "",
    " \n\t ",
    "ONE LINE IN CAPITALS ONLY\n" * 4,
    "• first\n• second\n• third …\n" * 3,
    "javascript is required. lorem ipsum dolor sit amet {",
    "same words again and again " * 30,
    "Der Fluß fließt durch das Tal und die Häuser sind aus Stein gebaut worden.",
    "汉字没有空格所以很难分词。" * 8,
    "mail me@example.com or 192.0.2.7, call +1 212 555 0142, IBAN DE89 3702 0044 0532 0130 00",
    "naÃ¯ve cafÃ© &amp; ﬁne \x1b[31mred\x1b[0m “quotes”",
    "def f(x):\n    return x ** 2  # code\n\n\nclass A:\n    pass\n",
    "This page is short.\nIt ends well.\nIt says what it means.\nNothing else is here.",
]


def texts() -> list[str]:
    rng = random.Random(5)
    made = [
        "\n\n".join(
            " ".join(rng.choices(WORDS, k=rng.randint(5, 30))).capitalize() + "."
            for _ in range(rng.randint(1, 6))
        )
        for _ in range(110)
    ]
    # Near copies and copies, for dedup.
    return [*made, *ODD, made[3], made[4] + " And one more.", made[5].replace("river", "stream")]


def rows() -> list[dict[str, Any]]:
    hosts = ["example.com/news/a", "xxx-adult.example/sex", "docs.example.org/page.html"]
    return [
        {
            "id": f"d{n}",
            "text": text,
            "source": "web" if n % 2 else "books",
            "url": f"https://{hosts[n % 3]}?n={n}",
            "language": "de" if text.startswith("Der") else "en",
            "edu": n / 60,
            "worth": (n * 7 % 60) / 60,
        }
        for n, text in enumerate(texts())
    ]


TYPES = {"edu": pa.float32(), "worth": pa.float32()}


def tokenizer_in(folder: Path) -> str:
    made = Tokenizer(models.WordLevel({word: n for n, word in enumerate([*WORDS, "?"])}, "?"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return "tokenizer.json"


def file_in(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("".join(f"{line}\n" for line in lines))
    return name


def student_in(folder: Path) -> str:
    make_student(folder / "student", "fasttext", TOPICS)
    return "student"


PARAMETERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "c4_badwords": lambda d: {
        "lists": {"en": file_in(d, "bad.txt", "lorem", "rain")},
        "fail_on_missing_language": False,
    },
    "character_set": lambda d: {"characters": ["Latin"], "min_ratio": 0.5},
    "classify": lambda d: {
        "train": {"positive": "web", "negative": "books"},
        "dim": 16,
        "bucket": 600_000,
        "epoch": 1,
    },
    "datatrove": lambda d: {"block": "GopherQualityFilter", "min_doc_words": 5},
    "decontaminate": lambda d: {
        "evaluations": {
            "own": {
                "paths": file_in(d, "e.jsonl", json.dumps({"text": texts()[7]})),
                "fields": ["text"],
            }
        }
    },
    "ensemble": lambda d: {"columns": ["edu", "worth"], "bins": 4},
    "exact_dedup": lambda d: {},
    "keep": lambda d: {"column": "edu", "top": "40%"},
    "regex": lambda d: {"regex_exp": "r[a-z]+n"},
    "sampler": lambda d: {"rate": 0.5},
    "score": lambda d: {"students": {"quality": student_in(d)}},
    "stop_list": lambda d: {"words": ["stone", "house"], "max_hits": 3},
    "token_length": lambda d: {"tokenizer": tokenizer_in(d), "min_tokens": 5},
    "url": lambda d: {"use_integrated_lists": False, "banned_words": ["sex"]},
}


def plain(value: Any) -> Any:
    """JSON values; numbers to as many digits as every processor gives."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items() if k not in ("sha256", "model")}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, float | np.floating):
        return None if value != value else float(f"{value:.4g}")
    return value.item() if isinstance(value, np.generic) else value


def made_by(step: Step) -> dict[str, Any]:
    """What became of each document; texts by their digest."""
    if isinstance(step, GlobalStep):
        ran = run_global_step(step, rows(), TYPES, shards=2)
    else:
        assert isinstance(step, RowStep)
        ran = run_row_step(step, rows(), TYPES)
    return {
        "kept": ran.kept,
        "dropped": plain(ran.dropped),
        "columns": plain(ran.columns),
        "texts": {name: digest(text)[:12] for name, text in ran.texts.items()},
    }


def compare(name: str, versions: dict[str, Any], outcome: Any) -> None:
    path = FOLDER / f"{name}.json"
    now = {"versions": versions, "outcome": outcome}
    if os.environ.get(WRITE):
        path.write_bytes(orjson.dumps(now, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS))
        return
    before = json.loads(path.read_bytes())
    now = json.loads(orjson.dumps(now))
    if now["outcome"] == before["outcome"]:
        assert now["versions"] == before["versions"], "a version was raised: run make golden"
        return
    remedy = "then run make golden, and name the change in CHANGELOG.md under Outputs"
    assert now["versions"] != before["versions"], (
        f"{name} makes something else of the same input, and its version is the same: raise it "
        f"(or that of the room of kernels that changed), {remedy}"
    )
    raise AssertionError(f"{name} has a new version and a new outcome: run make golden")


REGISTRY = Registry.installed()
SOURCES = ("web", "books")


@pytest.mark.parametrize("name", sorted(set(REGISTRY.step_names) - set(LEFT_OUT)))
def test_step_makes_what_it_made(name: str, tmp_path: Path) -> None:
    kind = REGISTRY.step(name)
    step = kind.model_validate(PARAMETERS.get(name, lambda d: {})(tmp_path))
    view = ManifestView(tmp_path, 0, ("web", "books"), tuple(TYPES))
    assert list(step.check(view)) == []
    versions = {name: kind.version, **kernel_versions(kind.kernels)}
    compare(name, versions, made_by(step))


@pytest.mark.parametrize("name", sorted(set(REGISTRY.format_names) - set(LEFT_OUT)))
def test_format_reads_what_it_read(name: str, tmp_path: Path) -> None:
    kind = REGISTRY.format(name)
    given = [{"id": f"d{n}", "text": t, "n": n} for n, t in enumerate(texts())]
    if name == "jsonl":
        lines = [orjson.dumps(row) for row in given] + [b"{", b'{"text": 5}', b'{"id": "x"}']
        (tmp_path / "a.jsonl").write_bytes(b"\n".join(lines))
    else:
        pq.write_table(pa.Table.from_pylist(given), tmp_path / "a.parquet")
    source: SourceFormat = kind.model_validate({"paths": "a.*", "max_bad": 1})
    kept, quarantined = read_all(source, tmp_path)
    bad = [{k: v for k, v in row.items() if k != "raw"} for row in quarantined]
    compare(f"format-{name}", {name: kind.version}, plain({"documents": kept, "quarantined": bad}))


# Stages of the proxy whose bytes follow from their input alone. What is left out: `trial` and
# `verdict`, since floating-point sums differ between processors and releases of torch.
PROXY_STAGES = ("held_out", "split", "tokenizer", "tokenise", "evaluation", "mix")


@pytest.fixture(scope="module")
def proxy_stages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    """The stages of a small proxy on the rows, run."""
    bench = Workbench(tmp_path_factory.mktemp("proxy"))
    halves = {source: [r["text"] for r in rows() if r["source"] == source] for source in SOURCES}
    shards = {source: batch_of(source, texts) for source, texts in halves.items()}
    extension = ProxyExtension.model_validate(
        {
            "tokenizer": {"vocabulary": 400},
            "mixes": {"half": {"web": 0.5, "books": 0.5, "tokens": "2k"}},
            "proxy": {"model": "100k", "tokens": "4k", "seeds": 1},
        }
    )
    stages = stages_by_name(extension.stages(bench.context(bench.corpus(shards), SOURCES)))
    for name in PROXY_STAGES:
        bench.run(stages[name])
    return stages


@pytest.mark.parametrize("name", PROXY_STAGES)
def test_stage_of_the_proxy_makes_what_it_made(name: str, proxy_stages: dict[str, Stage]) -> None:
    stage = proxy_stages[name]
    outcome = {
        task.key: {
            "metrics": plain(stage.outputs.receipt(task.key).metrics),
            "files": {
                str(path.relative_to(stage.outputs.folder(task.key))): content(path)
                for path in stage.outputs.outputs("", task.key)
            },
        }
        for task in stage.tasks
    }
    compare(f"proxy-{name}", dict(stage.versions), outcome)


def content(path: Path) -> str:
    """A digest of what a file holds. Releases of Arrow write the same table as other bytes."""
    if path.suffix != ".parquet":
        return hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    return digest(plain(pq.read_table(path).to_pylist()))[:12]


def test_files_are_of_steps_formats_and_stages_that_there_are() -> None:
    steps = set(REGISTRY.step_names) - set(LEFT_OUT)
    formats = {f"format-{name}" for name in set(REGISTRY.format_names) - set(LEFT_OUT)}
    stages = {f"proxy-{name}" for name in PROXY_STAGES}
    assert {path.stem for path in FOLDER.glob("*.json")} == steps | formats | stages
