"""The tokenizer of a run: byte-level BPE, trained on the training side or loaded from a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from proxy.mixing.held_out import corpus_files, texts_at
from proxy.mixing.mixing_tasks import CopyTokenizerTask, TrainTokenizerTask
from proxy.mixing.split import TRAINING, read_split
from proxy.proxy_settings import MAX_VOCABULARY
from winnow import Refusal, ShardError, StageOutputs, TaskContext, TaskResult, sha256_file

# What a small vocabulary learns from more than this is lost in its last merges, and it bounds
# memory: training counts the distinct words of its sample.
SAMPLE_BYTES = 8 * 2**20
SAMPLE_DOCUMENT_BYTES = 2**16  # no document gives more
FILE = "tokenizer.json"
# A tokenizer that cannot give these back loses text, and bits per byte would flatter it.
_PROBE = "Straße 12,500\t\r\n  naïve\u00a0«水» 👩\u200d💻 \x00\x7f İ ﬁ é e\u0301 <|endoftext|>"


def train_tokenizer(task: TrainTokenizerTask, context: TaskContext) -> TaskResult:
    """What TrainTokenizerTask does."""
    chosen = _choose(task)
    # Counting words in parallel adds up the same; one thread only keeps to one core.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    tokenizer = _untrained()
    trainer = trainers.BpeTrainer(
        vocab_size=task.vocabulary,
        special_tokens=[task.end_of_text],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    sizes: list[int] = []
    tokenizer.train_from_iterator(_sample(task, chosen, sizes), trainer)
    context.out.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(context.out / FILE))
    return TaskResult(
        metrics={
            "vocabulary": tokenizer.get_vocab_size(),
            "sample_documents": len(sizes),
            "sample_bytes": sum(sizes),
        }
    )


def _choose(task: TrainTokenizerTask) -> dict[str, list[int]]:
    """Rows to train on by corpus task."""
    tables = [read_split(task.split, key) for key in task.corpus.keys]
    shard = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    row = np.concatenate([np.arange(len(table)) for table in tables])
    whole = pa.concat_tables(tables)
    training = whole["split"].to_numpy() == TRAINING
    sizes = np.minimum(whole["bytes"].to_numpy(), SAMPLE_DOCUMENT_BYTES)
    keys = whole["key"].to_numpy()
    sources = whole["source"].combine_chunks().dictionary_encode()
    codes = sources.indices.to_numpy()
    chosen: dict[str, list[int]] = {}
    for code in range(len(sources.dictionary)):
        mine = np.flatnonzero(training & (codes == code))
        mine = mine[np.argsort(keys[mine], kind="stable")]
        before = np.cumsum(sizes[mine]) - sizes[mine]
        for i in mine[before < SAMPLE_BYTES // len(sources.dictionary)]:
            chosen.setdefault(task.corpus.keys[shard[i]], []).append(int(row[i]))
    if not chosen:
        raise ShardError("no-training-side", "no document is left to train a tokenizer on")
    return chosen


def _sample(
    task: TrainTokenizerTask, chosen: dict[str, list[int]], sizes: list[int]
) -> Iterator[str]:
    """The texts of the chosen rows by corpus shard; adds the size of each to ``sizes``."""
    for key, path in corpus_files(task.corpus):
        for text in texts_at(path, sorted(chosen.get(key, []))):
            head = text.encode()[:SAMPLE_DOCUMENT_BYTES]
            sizes.append(len(head))
            yield head.decode("utf-8", "ignore")


def copy_tokenizer(task: CopyTokenizerTask, context: TaskContext) -> TaskResult:
    """What CopyTokenizerTask does."""
    if sha256_file(task.path) != task.sha256:
        raise ShardError(
            "input-changed", f"{task.path.name} has changed since it was planned", "run again"
        )
    context.out.mkdir(parents=True, exist_ok=True)
    (context.out / FILE).write_bytes(task.path.read_bytes())
    encoder = load_encoder(task.path, task.end_of_text)
    return TaskResult(metrics={"vocabulary": encoder.vocabulary})


@dataclass(frozen=True)
class Encoder:
    """A tokenizer for documents: nothing in a text becomes a control token.

    ``end`` is the id of the end-of-text token, ``vocabulary`` one more than the largest id.
    ``by_segment`` says whether a text's tokens are those of its segments (kernels.words),
    one after the other: true for what TrainTokenizerTask makes, while other patterns may join
    punctuation and the line break after it.
    """

    tokenizer: Tokenizer
    end: int
    vocabulary: int
    by_segment: bool


def load_encoder(path: Path, end_of_text: str) -> Encoder:
    """Raises Refusal when the file cannot be read, has no ``end_of_text`` token, too many tokens,
    or does not give text back unchanged."""
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more precise
        raise Refusal("tokenizer-file", f"{path.name}: {error}") from error
    vocabulary = 1 + max(tokenizer.get_vocab().values(), default=0)
    if vocabulary > MAX_VOCABULARY:
        raise Refusal(
            "tokenizer-size",
            f"{path.name} has {vocabulary:,} tokens; at most {MAX_VOCABULARY:,} are read",
            "use a smaller vocabulary",
        )
    end = tokenizer.token_to_id(end_of_text)
    if end is None:
        raise Refusal(
            "tokenizer-end", f"{path.name} has no token {end_of_text!r}", "set `end_of_text`"
        )
    described = json.loads(tokenizer.to_str())
    # Without its special tokens the library takes their names in a text for text.
    described["added_tokens"] = [t for t in described["added_tokens"] if not t["special"]]
    described |= {"post_processor": None, "padding": None, "truncation": None}
    tokenizer = Tokenizer.from_str(json.dumps(described))
    if tokenizer.decode(tokenizer.encode(_PROBE).ids) != _PROBE:
        raise Refusal(
            "tokenizer-lossy",
            f"{path.name} does not give text back unchanged, so bits per byte cannot be measured",
            "use a byte-level tokenizer without normaliser",
        )
    plain = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    cutter = described["pre_tokenizer"] or {}
    by_segment = not described["normalizer"] and not described["added_tokens"]
    return Encoder(tokenizer, end, vocabulary, by_segment and plain.items() <= cutter.items())


def committed_encoder(stage: StageOutputs, end_of_text: str) -> Encoder:
    """The tokenizer that TrainTokenizerTask or CopyTokenizerTask has written."""
    (path,) = stage.outputs()
    return load_encoder(path, end_of_text)


def _untrained() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
