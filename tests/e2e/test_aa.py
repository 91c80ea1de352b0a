"""A/A: one mix against itself under other seeds. Whatever is found is a false alarm.

Each of 20 repetitions trains two arms of two seeds on the same mix of prose and code. A seed
changes the initial weights and which documents are drawn, in which order. With α = .05 an honest
procedure reports four or more differences with a probability below 2 %.
"""

from __future__ import annotations

import io
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from shards import committed
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from trials import run_trial

from pipeline.engine.stage import StageOutputs
from proxy.training.evaluate import HELD_OUT_SCHEMA
from proxy.training.sizes import default_vocabulary, model_spec
from proxy.training.trial import TrialTask
from proxy.verdicts.comparison import Comparison, compare_mixes, read_scores

SIZE = "100k"
TOKENS = 60_000
REPETITIONS = 20
SEEDS_PER_ARM = 2
HELD_OUT_PER_DOMAIN = 30
DOMAINS = ("wiki", "code_python")


def texts(shared: Path, domain: str) -> list[str]:
    """The beginnings of a domain's documents, in an order of their own."""
    with (shared / "domains" / f"{domain}.jsonl.zst").open("rb") as raw:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(raw), "utf-8")
        found = [json.loads(line)["text"][:1_500] for line in lines]
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


@dataclass(frozen=True)
class Corpus:
    """Tokenised documents per domain, and held-out documents on disk."""

    documents: dict[str, list[npt.NDArray[np.uint16]]]
    held_out: StageOutputs

    def sample_mix(self, shares: dict[str, float], seed: int, folder: Path) -> StageOutputs:
        """A token file of the mix, drawn and ordered by ``seed``."""
        generator = np.random.default_rng(seed)
        parts = []
        for domain, share in shares.items():
            tokens = [self.documents[domain][i] for i in self.order(domain, generator)]
            parts += cut(tokens, round(share * TOKENS))
        generator.shuffle(parts)
        tokens = np.concatenate(parts).astype("<u2")
        return committed(folder, {"tokens": lambda out: tokens.tofile(out / "tokens.bin")})

    def order(self, domain: str, generator: np.random.Generator) -> list[int]:
        return generator.permutation(len(self.documents[domain])).tolist()


def cut(documents: list[npt.NDArray[np.uint16]], tokens: int) -> list[npt.NDArray[np.uint16]]:
    """The first documents, ``tokens`` long together."""
    ends = np.cumsum([len(document) for document in documents])
    last = int(np.searchsorted(ends, tokens))
    surplus = int(ends[last]) - tokens
    return [*documents[:last], documents[last][: len(documents[last]) - surplus]]


@pytest.fixture(scope="module")
def corpus(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    raw = {domain: texts(shared_data, domain) for domain in DOMAINS}
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=default_vocabulary(SIZE),
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator((t for part in raw.values() for t in part[:350]), trainer)

    def encode(part: list[str]) -> list[npt.NDArray[np.uint16]]:
        return [np.array([0, *e.ids], np.uint16) for e in tokenizer.encode_batch(part)]

    held = {domain: part[:HELD_OUT_PER_DOMAIN] for domain, part in raw.items()}
    rows = [
        {
            "target": domain,
            "id": str(i),
            "cluster": f"{domain} {i}",
            "tokens": tokens,
            "context": 1,
            "bytes": len(part[i].encode()),
        }
        for domain, part in held.items()
        for i, tokens in enumerate(encode(part))
    ]
    folder = tmp_path_factory.mktemp("held_out")
    table = pa.Table.from_pylist(rows, HELD_OUT_SCHEMA)
    documents = {domain: encode(part[HELD_OUT_PER_DOMAIN:]) for domain, part in raw.items()}
    held_out = {"held_out": lambda out: pq.write_table(table, out / "held_out.parquet")}
    return Corpus(documents, committed(folder, held_out))


def evaluations(corpus: Corpus, mixes: dict[int, dict[str, float]], folder: Path) -> list[Path]:
    """One trial per seed in ``mixes``, two at a time as the engine would run them."""
    works = [
        TrialTask(
            key=f"seed-{seed}",
            tokens=corpus.sample_mix(shares, seed, folder / f"tokens-{seed}"),
            tokens_key="tokens",
            evaluation=corpus.held_out,
            model=model_spec(SIZE),
            seed=seed,
            device="cpu",
        )
        for seed, shares in mixes.items()
    ]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(run_trial, works, [folder] * len(works)))


def verdicts(paths: list[Path]) -> list[Comparison]:
    """The primary comparison of each repetition: its first arm against its second."""
    found = []
    for begin in range(0, len(paths), 2 * SEEDS_PER_ARM):
        arms = paths[begin : begin + 2 * SEEDS_PER_ARM]
        scores = [
            read_scores(path, "one" if i < SEEDS_PER_ARM else "other", i % SEEDS_PER_ARM)
            for i, path in enumerate(arms)
        ]
        found.append(compare_mixes(scores, baseline="one", alpha=0.05)[0])
    return found


@pytest.mark.slow
@pytest.mark.timeout(1_500)
def test_a_mix_against_itself_is_found_different_at_most_3_times_in_20(
    corpus: Corpus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    half = {domain: 1 / len(DOMAINS) for domain in DOMAINS}
    seeds = range(REPETITIONS * 2 * SEEDS_PER_ARM)
    comparisons = verdicts(evaluations(corpus, dict.fromkeys(seeds, half), tmp_path))
    counts = {
        d: sum(c.decision == d for c in comparisons) for d in ("better", "worse", "undecided")
    }
    with capsys.disabled():
        print(f"\nA/A {counts}, Δ ± half-width in bits per byte:")
        print("  ".join(f"{c.delta:+.4f}±{(c.high or 0) - c.delta:.3f}" for c in comparisons))
    assert len(comparisons) == REPETITIONS
    assert all(comparison.low is not None for comparison in comparisons)
    # Trials that ignored their seed would pass by being identical.
    assert len({comparison.delta for comparison in comparisons}) == REPETITIONS
    assert counts["better"] + counts["worse"] <= 3
