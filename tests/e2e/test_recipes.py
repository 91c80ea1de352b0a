"""The published recipes in manifests/ run on real documents, and their steps do their parts."""

from __future__ import annotations

import io
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard
from small_runs import corpus_rows, dropped_rows, winnow

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest

RECIPES = ("gopher", "c4", "fineweb", "refinedweb", "dclm")
DOCUMENTS = 60
GOOD = "good"
SECRET = "j.doe@real-company.com"


def published(shared: Path, name: str) -> Iterator[dict[str, Any]]:
    with (shared / f"{name}.jsonl.zst").open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        yield from map(json.loads, lines)


def sample(shared: Path) -> dict[str, list[dict[str, str]]]:
    """By file, rows with a URL: articles of the web, encyclopedia, and some that must go."""
    articles = [
        {"id": f"article-{n}", "text": row["article_body"], "url": row["url"]}
        for n, row in enumerate(published(shared, "web/articles-gold"))
    ]
    wiki = [
        {"id": row["id"], "text": row["text"], "url": f"https://wiki.example.org/{n}"}
        for n, row in zip(range(DOCUMENTS), published(shared, "domains/wiki"), strict=False)
    ]
    french = (r["text"] for r in published(shared, "truth/languages") if r["language"] == "fra")
    articles[3]["text"] += f"\nWrite to {SECRET} if you have any questions on the above."
    odd = {
        "copy": (articles[3]["text"], "/copy"),
        "french": ("\n".join(french), "/french"),
        "banned": (articles[4]["text"], "/free-porn-videos"),
        "menu": ("Home\nProducts\nSign-in\n" * 20, "/menu"),
        "empty": ("", "/empty"),
    }
    planted = [
        {"id": id_, "text": text, "url": "https://www.example.org" + path}
        for id_, (text, path) in odd.items()
    ]
    good = [
        {"id": f"good-{n}", "text": row["text"]}
        for n, row in zip(range(2 * DOCUMENTS), published(shared, "domains/edu"), strict=False)
    ]
    return {"articles": articles, "wiki": wiki, "zz-odd": planted, GOOD: good}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A folder of web text; texts that are good by definition lie beside it."""
    folder = tmp_path_factory.mktemp("recipes") / "data"
    folder.mkdir()
    for name, rows in sample(shared_data).items():
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder.parent if name == GOOD else folder).joinpath(f"{name}.jsonl").write_text(lines)
    with (folder / "articles.jsonl").open("a") as file:
        file.write("no JSON\n")
    return folder


@pytest.fixture(scope="module", params=RECIPES)
def run(request: pytest.FixtureRequest, root: Path, data: Path) -> tuple[str, Path]:
    """The recipe, and the folder of its results."""
    output = data.parent / request.param
    arguments = ("--set", "sources.web.max_bad=0.1", "--output", output)
    path = root / "manifests" / f"{request.param}.yaml"
    environment = {"WINNOW_DATA": str(data), "WINNOW_GOOD": str(data.parent / f"{GOOD}.jsonl")}
    done = winnow("run", path, *arguments, cwd=data.parent, environment=environment)
    assert done.returncode == 0, done.stderr
    return request.param, output


def counts_of(output: Path) -> dict[str, Any]:
    counts: dict[str, Any] = json.loads((output / "run_results.json").read_text())["documents"]
    return counts


def steps_of(recipe: str, root: Path, **environment: str) -> list[str]:
    path = root / "manifests" / f"{recipe}.yaml"
    with tempfile.TemporaryDirectory() as folder:
        given = {**some_input(Path(folder)), **environment}
        return [named.label for named in load_manifest(path, environment=given).steps]


def some_input(folder: Path) -> dict[str, str]:
    """A row for each source of a recipe: the environment that names them."""
    data, good = folder / "data", folder / "good.jsonl"
    data.mkdir()
    for path in (data / "a.jsonl", good):
        path.write_text('{"text": "a text", "url": "https://example.com"}\n')
    return {"WINNOW_DATA": str(data), "WINNOW_GOOD": str(good)}


def dropped_by(output: Path) -> dict[str, str]:
    """By document, the step that dropped it."""
    return {row["id"]: row["step"] for row in dropped_rows(output)}


def test_every_row_is_kept_dropped_or_quarantined(run: tuple[str, Path], data: Path) -> None:
    counts = counts_of(run[1])
    dropped = sum(t["documents"] for d in counts["dropped"].values() for t in d.values())
    quarantined = sum(counts["quarantined"].values())
    assert quarantined == 1
    files = list(data.glob("*.jsonl"))
    if run[0] == "dclm":
        files.append(data.parent / f"{GOOD}.jsonl")
    assert counts["rows"] == sum(len(path.read_text().splitlines()) for path in files)
    assert counts["rows"] == counts["kept"]["documents"] + dropped + quarantined
    assert counts["kept"]["documents"] > (0 if run[0] == "dclm" else DOCUMENTS)


@pytest.mark.parametrize("run", ["dclm"], indirect=True)
def test_dclm_keeps_the_best_tenth_of_the_web_and_no_text_that_it_learned_from(
    run: tuple[str, Path],
) -> None:
    _, output = run
    counts = counts_of(output)
    learned = counts["dropped"]["keep"]["other_source"]["documents"]
    met = counts["entered"]["keep"]["documents"] - learned
    assert learned >= 50
    assert counts["kept"]["documents"] == -(-met // 10)
    kept = output.glob("corpus/*/*")
    scores = [pq.read_table(path, columns=["quality"])["quality"] for path in kept]
    below = [
        row["signals"]
        for row in dropped_rows(output)
        if row["step"] == "keep" and row["reason"] == "below_top_share"
    ]
    least = min(score for column in scores for score in column.to_pylist())
    assert all(json.loads(signals)["score"] < least for signals in below)
    assert all(json.loads(signals)["threshold"] == least for signals in below)


def test_every_step_is_in_the_funnel_and_met_documents(run: tuple[str, Path], root: Path) -> None:
    recipe, output = run
    counts = counts_of(output)
    steps = steps_of(recipe, root)
    assert list(counts["entered"]) == list(counts["dropped"]) == steps
    entered = [counts["entered"][step]["documents"] for step in steps]
    assert entered == sorted(entered, reverse=True)
    assert entered[-1] >= counts["kept"]["documents"] > 0
    report = (output / "report.html").read_text()
    assert all(step in report for step in steps)


def test_what_must_go_goes_by_the_step_that_is_there_for_it(run: tuple[str, Path]) -> None:
    recipe, output = run
    dropped = dropped_by(output)
    assert dropped["french"] == "language"
    assert dropped["copy"].endswith("dedup")
    assert {"menu", "empty"} <= dropped.keys()
    # Nothing but its score speaks against it.
    assert dropped.get("article-3") in ((None, "keep") if recipe == "dclm" else (None,))
    if recipe in ("fineweb", "refinedweb", "dclm"):
        assert dropped["banned"] == "url"


def test_only_fineweb_takes_addresses_out(run: tuple[str, Path]) -> None:
    recipe, output = run
    rows = [*corpus_rows(output), *dropped_rows(output)]
    (text,) = [row["text"] for row in rows if row["id"] == "article-3"]
    assert (SECRET in text) == (recipe != "fineweb")
    assert ("email@example.com" in text) == (recipe == "fineweb")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_valid_and_so_is_what_its_comments_offer(
    recipe: str, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.txt").write_text("bad\n")
    question = "Which town has been the capital of France since the year 987?"
    (tmp_path / "tests.jsonl").write_text(json.dumps({"query": question}) + "\n")
    environment = {
        **some_input(tmp_path),
        "WINNOW_BAD_WORDS": str(tmp_path / "bad.txt"),
        "WINNOW_EVALUATIONS": str(tmp_path / "tests.jsonl"),
    }
    text = (root / "manifests" / f"{recipe}.yaml").read_text()
    offered = re.sub(r"^( *)# (?=(- )?\w+: \{)", r"\1", text, flags=re.MULTILINE)
    (tmp_path / "m.yaml").write_text(offered)
    steps = load_manifest(tmp_path / "m.yaml", environment=environment).steps
    more = {"gopher": ["decontaminate"], "c4": ["c4_badwords"]}
    assert [named.label for named in steps] == steps_of(recipe, root) + more.get(recipe, [])


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_without_data_says_what_to_set(recipe: str, root: Path) -> None:
    with pytest.raises(ManifestError, match="WINNOW_DATA is not set"):
        load_manifest(root / "manifests" / f"{recipe}.yaml", environment={})
