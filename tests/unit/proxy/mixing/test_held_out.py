from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from pipeline.engine.fingerprint import sha256_file
from pipeline.engine.stage import Stage
from pipeline.errors import ShardError
from proxy.mixing.evaluation_files import EvaluationFile, parse_share, row_text
from proxy.mixing.held_out import EVALUATED_BYTES, HELD_OUT, evaluated
from proxy.mixing.mixing_tasks import HeldOutTask, SplitTask
from proxy.mixing.split import HOLDING, REMOVED, TRAINING, read_split
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
    external: Sequence[EvaluationFile] = (),
) -> tuple[pa.Table, dict[str, list[int]], dict[str, object]]:
    """The held-out table, the split of each shard's rows, and the metrics of the choice."""
    work = HeldOutTask(corpus.outputs, tuple(shares.items()), tuple(external), bench.seed)
    held = bench.done("held_out", {"held_out": work})
    tasks = {key: SplitTask(corpus.outputs, key, held, bench.seed) for key in corpus.outputs.keys}
    split = bench.done("split", tasks)
    table = pq.read_table(next(p for p in held.outputs() if p.name == HELD_OUT))
    by_key = {key: read_split(split, key)["split"].to_pylist() for key in split.keys}
    return table, by_key, held.receipts()[0].metrics


@pytest.mark.parametrize(("text", "share"), [("held_out 2%", 0.02), ("held_out 0.5 %", 0.005)])
def test_shares_are_read(text: str, share: float) -> None:
    assert parse_share(text) == share


def test_a_path_is_no_share_and_a_share_over_half_is_refused() -> None:
    assert parse_share("../evals/lambada.jsonl.zst") is None
    with pytest.raises(ValueError, match="at most 50%"):
        parse_share("held_out 60%")


@given(st.text(max_size=3_000))
def test_the_evaluated_part_is_whole_characters_of_the_first_bytes(text: str) -> None:
    text = text.encode("utf-8", "ignore").decode() * 3
    part = evaluated(text)
    assert text.startswith(part)
    size = len(part.encode())
    assert size <= EVALUATED_BYTES
    assert part == text or size > EVALUATED_BYTES - 4


def test_every_row_of_the_corpus_has_one_role(bench: Workbench) -> None:
    corpus = corpus_of(bench, [prose(i) for i in range(60)], [prose(900 + i) for i in range(40)])
    table, split, metrics = hold_out(bench, corpus, {"web": 0.2, "docs": 0.1})
    assert {key: len(rows) for key, rows in split.items()} == {
        "web-0": 30,
        "web-1": 30,
        "docs-0": 40,
    }
    held = [
        (key, row)
        for key, rows in split.items()
        for row, split in enumerate(rows)
        if split == HOLDING
    ]
    places = zip(table["task"].to_pylist(), table["row"].to_pylist(), strict=True)
    assert sorted(held) == sorted(places)
    assert table["target"].to_pylist() == ["web"] * 12 + ["docs"] * 8  # at least 8
    assert metrics["targets"]["web"]["documents"] == 12


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
    originals = [prose(i) for i in range(40)]
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
    assert len(held) == 10
    wanted = [REMOVED if row % 40 in held else TRAINING for row in range(len(copies))]
    assert split["docs-0"] == wanted


def test_a_long_document_is_protected_whole_and_by_its_evaluated_part(bench: Workbench) -> None:
    long = [prose(i, 3_000) for i in range(16)]
    heads = [evaluated(text) for text in long]
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
    assert len(table) == 12
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
    assert table["id"].to_pylist() == ["same", *(f"same#{n}" for n in range(2, 9))]


def external(path: Path, target: str = "evals") -> EvaluationFile:
    return EvaluationFile(target, path, path.name, sha256_file(path))


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_an_external_file_is_read_and_protected(bench: Workbench, suffix: str) -> None:
    rows = [{"id": f"e{i}", "text": prose(i)} for i in range(5)]
    raw = b"\n".join(map(orjson.dumps, rows)) + b"\n\n"
    pack = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress}[suffix]
    path = bench.folder / f"evals.jsonl{suffix}"
    path.write_bytes(pack(raw))
    corpus = corpus_of(bench, [prose(i) for i in range(20)])
    table, split, metrics = hold_out(bench, corpus, {}, [external(path)])
    assert table["id"].to_pylist() == [f"e{i}" for i in range(5)]
    assert [split == REMOVED for split in split["web-0"] + split["web-1"]] == [
        i < 5 for i in range(20)
    ]
    assert metrics["targets"]["evals"]["external"] is True


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"text": "plain"}, "plain"),
        ({"query": "2 + 2 =", "answer": "4"}, "2 + 2 = 4"),
        ({"query": "Answer: ", "continuation": "yes"}, "Answer: yes"),
        ({"query": "q", "choices": ["a", "b"], "gold": 1}, "q b"),
        ({"query": "q", "choices": ["a"], "gold": 5}, None),
        ({"title": "no text"}, None),
        (["text"], None),
    ],
)
def test_the_text_of_an_evaluation_row(row: object, text: str | None) -> None:
    assert row_text(row) == text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "fine"}\n{"text": 3}\n', r"evals.jsonl:2 has no text"),
        (b'{"text": "fine"}\n{broken\n', r"evals.jsonl:2 "),
    ],
)
def test_a_bad_evaluation_row_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "evals.jsonl"
    path.write_bytes(content)
    with pytest.raises(ShardError, match=said) as caught:
        list(external(path).documents())
    assert caught.value.code == "evaluation-row"


def test_an_evaluation_file_that_changed_after_the_plan_fails(tmp_path: Path) -> None:
    path = tmp_path / "evals.jsonl"
    path.write_text('{"text": "before"}\n')
    planned = external(path)
    path.write_text('{"text": "after"}\n')
    with pytest.raises(ShardError, match="has changed") as caught:
        list(planned.documents())
    assert caught.value.code == "input-changed"
