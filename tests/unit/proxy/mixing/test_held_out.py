from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.stage import Stage
from pipeline.errors import ShardError
from proxy.mixing.evaluation_files import EvaluationFile
from proxy.mixing.held_out import HELD_OUT
from proxy.mixing.mixing_tasks import HeldOutTask, SplitTask
from proxy.mixing.scored_spans import scored_part
from proxy.mixing.split import HOLDING, REMOVED, TRAINING, read_split
from proxy.mixing.targets import FileTarget
from winnow.testing import Workbench, batch_of

WORDS = [f"{a}{b}{c}" for a in "bcdfg" for b in "aeiou" for c in "lmnrst"]
LICENCE = " ".join(random.Random(0).choices(WORDS, k=60))


def prose(number: int, words: int = 80) -> str:
    """A text of its own; two of them share no 5-gram worth the name."""
    return " ".join(random.Random(number).choices(WORDS, k=words))


def corpus_of(bench: Workbench, web: Sequence[str], docs: Sequence[str] = ()) -> Stage:
    """Two shards of `web`, and one of `docs` when there are any."""
    half = len(web) // 2
    shards = {
        "web-0": batch_of("web", web[:half]),
        "web-1": batch_of("web", web[half:], first=half),
    }
    return bench.corpus(shards | ({"docs-0": batch_of("docs", docs)} if docs else {}))


def hold_out(
    bench: Workbench,
    corpus: Stage,
    shares: dict[str, float],
    files: Sequence[EvaluationFile] = (),
) -> tuple[pa.Table, dict[str, list[int]], dict[str, object]]:
    """The held-out table, the split of each shard's rows, and the metrics of the choice."""
    work = HeldOutTask(corpus.outputs, tuple(shares.items()), tuple(files), bench.seed)
    held = bench.done("held_out", {"held_out": work})
    tasks = {key: SplitTask(corpus.outputs, key, held, bench.seed) for key in corpus.outputs.keys}
    split = bench.done("split", tasks)
    table = pq.read_table(next(p for p in held.outputs() if p.name == HELD_OUT))
    by_key = {key: read_split(split, key)["split"].to_pylist() for key in split.keys}
    return table, by_key, held.receipts()[0].metrics


def test_every_row_of_the_corpus_has_one_role(bench: Workbench) -> None:
    corpus = corpus_of(bench, [prose(i) for i in range(200)], [prose(900 + i) for i in range(80)])
    table, split, metrics = hold_out(bench, corpus, {"web": 0.2, "docs": 0.1})
    assert {key: len(rows) for key, rows in split.items()} == {
        "web-0": 100,
        "web-1": 100,
        "docs-0": 80,
    }
    held = [
        (key, row)
        for key, rows in split.items()
        for row, split in enumerate(rows)
        if split == HOLDING
    ]
    places = zip(table["task"].to_pylist(), table["row"].to_pylist(), strict=True)
    assert sorted(held) == sorted(places)
    assert table["target"].to_pylist() == ["web"] * 40 + ["docs"] * 32  # at least 32
    assert metrics["targets"]["web"]["documents"] == 40


def test_the_choice_does_not_depend_on_shards(benches: Callable[[str], Workbench]) -> None:
    texts = [prose(i) for i in range(50)]
    one, two = benches("one"), benches("two")
    whole = one.corpus({"all": batch_of("web", texts)})
    parts = {f"p{i}": batch_of("web", texts[i : i + 10], first=i) for i in range(0, 50, 10)}
    first = hold_out(one, whole, {"web": 0.2})[0]
    second = hold_out(two, two.corpus(parts), {"web": 0.2})[0]
    assert first["id"].to_pylist() == second["id"].to_pylist()
    two.seed = 8
    work = HeldOutTask(whole.outputs, (("web", 0.2),), (), 8)
    third = pq.read_table(one.done("again", {"t": work}).outputs()[-1].parent / HELD_OUT)
    assert set(third["id"].to_pylist()) != set(first["id"].to_pylist())


def test_repeats_of_held_out_documents_never_reach_training(bench: Workbench) -> None:
    """Exact copies, copies in other case, light edits, and copies inside longer documents."""
    originals = [prose(i) for i in range(64)]
    rng = random.Random(5)

    def edited(text: str) -> str:
        words = text.split()
        for at in rng.sample(range(len(words)), 5):
            words[at] = "changed"
        return " ".join(words)

    copies = (
        originals
        + [text.upper() + "!" for text in originals]
        + [edited(text) for text in originals]
        + [prose(5_000 + i, 300) + " " + text for i, text in enumerate(originals)]
    )
    corpus = corpus_of(bench, originals, copies)
    table, split, _ = hold_out(bench, corpus, {"web": 0.25})
    held = {int(name.split("/")[1]) for name in table["id"].to_pylist()}
    assert len(held) == 32
    wanted = [REMOVED if row % 64 in held else TRAINING for row in range(len(copies))]
    assert split["docs-0"] == wanted


def test_a_long_document_is_protected_whole_and_by_its_scored_part(bench: Workbench) -> None:
    long = [prose(i, 3_000) for i in range(16)]
    heads = [scored_part(text) for text in long]
    tails = [text[-8_000:] for text in long]
    corpus = corpus_of(bench, long, heads + tails)
    table, split, _ = hold_out(bench, corpus, {"web": 0.5})
    held = {int(name.split("/")[1]) for name in table["id"].to_pylist()}
    assert split["docs-0"] == [REMOVED if row % 16 in held else TRAINING for row in range(32)]


def test_boilerplate_is_neither_held_out_nor_a_reason_to_remove(bench: Workbench) -> None:
    own = [prose(i, 40) for i in range(30)]
    licensed = [f"{LICENCE} {text}" for text in own]  # 60 words of licence, 40 of its own
    plain = [f"{LICENCE} {prose(100 + i, 120)}" for i in range(30)]
    table, split, metrics = hold_out(bench, corpus_of(bench, licensed + plain), {"web": 0.2})
    assert len(table) == 30
    assert all(int(name.split("/")[1]) >= 30 for name in table["id"].to_pylist())
    assert REMOVED not in split["web-0"] + split["web-1"]
    assert metrics["common_ngrams"] > 0


def test_short_documents_are_removed_when_their_words_are_equal(bench: Workbench) -> None:
    web = [f"word{chr(97 + i)} only" for i in range(16)]
    corpus = corpus_of(bench, web, [text.upper() + "?" for text in web] + ["word only"])
    table, split, _ = hold_out(bench, corpus, {"web": 0.5})
    held = {int(name.split("/")[1]) for name in table["id"].to_pylist()}
    assert [split == REMOVED for split in split["docs-0"]] == [i in held for i in range(17)]


def test_a_source_of_nothing_but_repeats_is_refused(bench: Workbench) -> None:
    corpus = corpus_of(bench, [prose(1)] * 30)
    with pytest.raises(ShardError, match="none of the 30 documents of 'web'") as caught:
        hold_out(bench, corpus, {"web": 0.2})
    assert caught.value.code == "nothing-to-hold-out"


def test_empty_and_huge_documents_are_not_held_out(bench: Workbench) -> None:
    texts = ["", "x " * 600_000] * 10 + [prose(i) for i in range(10)]
    table, split, _ = hold_out(bench, corpus_of(bench, texts), {"web": 0.5})
    assert len(table) == 10
    assert set(split["web-0"]) == {TRAINING}


def test_repeated_ids_are_told_apart(bench: Workbench) -> None:
    batch = batch_of("web", [prose(i) for i in range(20)])
    batch = batch.set_column(0, batch.schema.field(0), pa.array(["same"] * 20, pa.large_string()))
    table, _, _ = hold_out(bench, bench.corpus({"web-0": batch}), {"web": 0.4})
    assert table["id"].to_pylist() == ["same", *(f"same#{n}" for n in range(2, 11))]


def test_documents_are_grouped_by_their_ids_or_a_column(bench: Workbench) -> None:
    batch = batch_of("web", [prose(i) for i in range(80)])
    ids = pa.array([f"web/book{i // 4}/{i}" for i in range(80)], pa.large_string())
    pages = pa.array([f"page {i // 20}" for i in range(80)], pa.large_string())
    batch = batch.set_column(0, "id", ids).append_column("page", pages)
    corpus = bench.corpus({"web-0": batch}).outputs
    by_id = HeldOutTask(corpus, (("web", 0.4),), (), 0)
    by_column = HeldOutTask(corpus, (("web", 0.4),), (), 0, (("web", "page"),))
    for name, task, wanted in (
        ("id", by_id, lambda i: f"web/web/book{i // 4}"),
        ("column", by_column, lambda i: f"web/page {i // 20}"),
    ):
        held = bench.done(name, {"h": task})
        table = pq.read_table(next(p for p in held.outputs() if p.name == HELD_OUT))
        numbers = [int(name.rpartition("/")[2]) for name in table["id"].to_pylist()]
        assert table["cluster"].to_pylist() == [wanted(number) for number in numbers]


def test_rows_of_an_evaluation_file_are_protected_as_a_whole(bench: Workbench) -> None:
    path = bench.folder / "evals.jsonl"
    rows = [{"id": f"e{i}", "query": prose(i, 40), "answer": "4"} for i in range(5)]
    path.write_bytes(b"\n".join(map(orjson.dumps, [*rows, {"query": "a", "answer": " "}])))
    corpus = corpus_of(bench, [f"{prose(100 + i)} {row['query']} 4" for i, row in enumerate(rows)])
    file = EvaluationFile("evals", path, FileTarget(file=path.name), sha256_file(path))
    table, split, metrics = hold_out(bench, corpus, {}, [file])
    assert table["id"].to_pylist() == [f"e{i}" for i in range(5)]
    assert [row["text"][row["scored_from"] :] for row in table.to_pylist()] == [" 4"] * 5
    assert split == {"web-0": [REMOVED] * 2, "web-1": [REMOVED] * 3}
    assert metrics["targets"]["evals"] == {
        "documents": 5,
        "bytes": 10,
        "clusters": 5,
        "left_out": 1,
        "wanted": 5,
        "external": True,
    }
