"""The recipes that begin with a judge: labels, students, and what is made of their scores.

The judge is a model of a few hundred thousand random parameters in this process: it grades by the
share of long words, which is enough to see every step do its part.
"""

from __future__ import annotations

import io
import json
import random
import re
import string
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zstandard
from small_runs import corpus_rows, dropped_rows, files_of, winnow
from tiny_model import make_tiny_model

from pipeline.errors import ManifestError
from pipeline.manifest import load_manifest

RECIPES = ("fineweb-edu", "nemotron-cc", "weborganizer")
DOCUMENTS = 60
SAMPLED = 120
VECTORS = "{kind: fasttext, documents: 300, epoch: 2}"


def published(shared: Path, name: str) -> Iterator[str]:
    with (shared / f"{name}.jsonl.zst").open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        for row in map(json.loads, lines):
            yield row.get("text") or row["article_body"]


def simple(texts: list[str], rng: random.Random) -> Iterator[str]:
    """As many texts of their short words alone, which the judge finds poor."""
    words = sorted({word for text in texts for word in text.split() if len(word) <= 3})
    for _ in texts:
        yield " ".join(rng.choices(words, k=120))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """Web text in data/, good.jsonl, and two judges: of digits and of letters."""
    made = tmp_path_factory.mktemp("labels")
    (made / "data").mkdir()
    names = ("web/articles-gold", "domains/wiki")
    texts = [text for name in names for text in islice(published(shared_data, name), DOCUMENTS)]
    poor = list(simple(texts[:DOCUMENTS], random.Random(1)))
    good = list(islice(published(shared_data, "domains/edu"), DOCUMENTS))
    for path, rows in {"data/web": texts, "data/poor": poor, "good": good}.items():
        lines = (json.dumps({"id": f"{path}-{n}", "text": text}) for n, text in enumerate(rows))
        (made / f"{path}.jsonl").write_text("".join(line + "\n" for line in lines))
    make_tiny_model(made / "digits", texts)
    make_tiny_model(made / "letters", texts, lifts={string.ascii_uppercase: 9.0})
    return made


def run(folder: Path, root: Path, recipe: str, judge: str, *overrides: str) -> Path:
    """The folder of the results."""
    server = f"{{kind: transformers, model: {folder / judge}, device: cpu}}"
    steps = [named.label for named in load(root, recipe, folder / judge).steps]
    sets = [f"steps.{name}.server={server}" for name in steps if name.startswith("label")]
    sets += [f"steps.{n}.sample.documents={SAMPLED}" for n in steps if n.startswith("label")]
    sets += [f"steps.{n}.max_tokens=400" for n in steps if n.startswith("label")]
    # Of grades 0 to 3 this judge thinks little: it was made for six.
    sets += [f"steps.{n}.min_mass=0" for n in steps if n.startswith("label")]
    sets += [f"steps.{n}.embedding={VECTORS}" for n in steps if n.startswith("distill")]
    arguments = [part for text in (*sets, *overrides) for part in ("--set", text)]
    output = folder / recipe
    environment = {
        "WINNOW_DATA": str(folder / "data"),
        "WINNOW_GOOD": str(folder / "good.jsonl"),
        "WINNOW_JUDGE": str(folder / judge),
        "WINNOW_EMBEDDER": "models/embedder",
        "WINNOW_LABELS": str(folder / "labels.sqlite"),
    }
    path = root / "manifests" / f"{recipe}.yaml"
    done = winnow("run", path, *arguments, "--output", output, cwd=folder, environment=environment)
    assert done.returncode == 0, done.stderr
    return output


def load(root: Path, recipe: str, model: Path) -> Any:
    environment = dict.fromkeys(("WINNOW_JUDGE", "WINNOW_EMBEDDER"), str(model))
    with tempfile.TemporaryDirectory() as folder:
        environment |= some_input(Path(folder))
        return load_manifest(root / "manifests" / f"{recipe}.yaml", environment=environment)


def some_input(folder: Path) -> dict[str, str]:
    """A row for each source of a recipe: the environment that names them."""
    for name in ("a.jsonl", "good.jsonl"):
        (folder / name).write_text('{"text": "a text"}\n')
    return {"WINNOW_DATA": str(folder), "WINNOW_GOOD": str(folder / "good.jsonl")}


def results(output: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((output / "run_results.json").read_text())
    return found


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_valid_and_says_what_it_needs(recipe: str, root: Path, tmp_path: Path) -> None:
    assert load(root, recipe, tmp_path).steps
    with pytest.raises(ManifestError, match="WINNOW_JUDGE is not set"):
        load_manifest(root / "manifests" / f"{recipe}.yaml", environment={})


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("embedder", ["/no/embedder", "/no/judge"])
def test_a_model_that_is_not_there_is_named_by_its_own_variable_and_value(
    recipe: str, embedder: str, root: Path, tmp_path: Path
) -> None:
    environment = some_input(tmp_path) | {"WINNOW_JUDGE": "/no/judge", "WINNOW_EMBEDDER": embedder}
    path = root / "manifests" / f"{recipe}.yaml"
    with pytest.raises(ManifestError) as caught:
        load_manifest(path, environment=environment)
    lines = path.read_text().splitlines()
    named = set()
    for problem in caught.value.problems:
        (own,) = re.findall(r"env:(WINNOW_\w+)", lines[problem.line - 1])
        assert f"${{env:{own}}} is '{environment[own]}'" in problem.message
        named.add(own)
    assert named == {"WINNOW_JUDGE", "WINNOW_EMBEDDER"}


@pytest.mark.slow
def test_fineweb_edu_keeps_what_is_rounded_to_three(folder: Path, root: Path) -> None:
    # This judge is kind to all of them: what is rounded to five shows that the rule drops, too.
    for least, overrides in {3: [], 5: ["steps.keep.rounded_at_least=5"]}.items():
        output = run(folder, root, "fineweb-edu", "digits", *overrides)
        kept, dropped = corpus_rows(output), dropped_rows(output)
        assert len(kept) + len(dropped) == 3 * DOCUMENTS
        assert all(round(max(0, min(row["edu"], 5))) >= least for row in kept)
        scores = [json.loads(row["signals"])["score"] for row in dropped]
        assert all(round(max(0, min(score, 5))) < least for score in scores)
        assert {row["reason"] for row in dropped} <= {"below_rounded"}
        assert np.ptp([row["edu"] for row in kept] + scores) > 0.3
    assert len(dropped) > len(kept) > 0
    assert 0 < sum(row["educational_value"] is not None for row in kept) < SAMPLED


@pytest.mark.slow
def test_nemotron_cc_joins_three_scores_into_buckets(folder: Path, root: Path) -> None:
    output = run(folder, root, "nemotron-cc", "digits")
    kept = corpus_rows(output)
    assert len(kept) == 3 * DOCUMENTS
    rationale_text = results(output)["documents"]["dropped"]["keep"]
    assert {name: tally["documents"] for name, tally in rationale_text.items()} == {
        "other_source": DOCUMENTS
    }
    (cuts,) = files_of(output, "ensemble.reduce", "artifacts/cuts.parquet")
    table = pq.read_table(cuts).to_pylist()
    for row in kept:
        bins = [
            sum(cut["least_score"] <= row[name] for cut in table if cut["column"] == name)
            for name in ("edu", "well_written", "like_good")
        ]
        assert row["quality_bucket"] == max(bins)
    metrics = results(output)["extensions"]["proxy"]["mixes"]
    buckets = Counter(row["quality_bucket"] for row in kept)
    (best,) = metrics["best-seed1"]["components"]
    assert best["component"] == "web, quality_bucket 18 or 19"
    assert best["available_documents"] == buckets[18] + buckets[19]
    weights = [component["weight"] for component in metrics["upsampled-seed1"]["components"]]
    assert weights == pytest.approx([0.5, 0.3, 0.2])


@pytest.mark.slow
def test_weborganizer_mixes_by_topic_and_format(folder: Path, root: Path) -> None:
    # A judge of random parameters knows few topics: the mix names those that it has found.
    first = run(folder, root, "weborganizer", "letters", "mixes={}")
    subjects = Counter(row["subject"] for row in corpus_rows(first))
    forms = Counter(row["form"] for row in corpus_rows(first))
    assert sum(subjects.values()) == sum(forms.values()) == 3 * DOCUMENTS
    (one, _), *others = subjects.most_common()
    parts = [f"{{subject: {one}, weight: 0.4}}"]
    if others:
        parts.append(f"{{subject: [{', '.join(name for name, _ in others)}]}}")
    parts = parts if others else [f"{{subject: {one}}}"]
    (form, _), *_ = forms.most_common()
    mixes = f"{{topics: {{web: [{', '.join(parts)}]}}, formats: {{web: {{form: {form}}}}}}}"
    output = run(folder, root, "weborganizer", "letters", f"mixes={mixes}")
    metrics = results(output)["extensions"]["proxy"]["mixes"]
    assert [component["component"] for component in metrics["formats-seed1"]["components"]] == [
        f"web, form {form}"
    ]
    available = [
        component["available_documents"] for component in metrics["topics-seed1"]["components"]
    ]
    assert available[0] == subjects[one]
    assert sum(available) == 3 * DOCUMENTS
