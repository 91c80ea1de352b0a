"""The tasks that turn kept documents into token files of mixes.

A plan makes these values without doing their work, so this module imports nothing heavy: the
modules that do the work bring tokenizers and compiled kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proxy.mixing.components import Component
from proxy.mixing.evaluation_files import EvaluationFile
from winnow import StageOutputs, TaskContext, TaskResult

HELD_OUT_TOKENS = "held_out_tokens.parquet"


@dataclass(frozen=True)
class HeldOutTask:
    """Choose the held-out documents of each source, and read those of evaluation files.

    Per source the documents with the smallest keys, as many as ``shares`` says but at least 32 and
    at most 400 (and never more than half), leaving out those that are empty, over 1 MiB or mostly
    made of common 5-grams. Writes held_out.parquet (held_out.SCHEMA) and common.npy (uint64
    shingles).
    """

    corpus: StageOutputs
    shares: tuple[tuple[str, float], ...]
    files: tuple[EvaluationFile, ...]
    seed: int
    clusters: tuple[tuple[str, str], ...] = ()  # source and the column that groups its documents

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.mixing.held_out import hold_out

        return hold_out(self, context)


@dataclass(frozen=True)
class SplitTask:
    """Assign every document of one shard to a split. Writes split/{key}.parquet (split.SCHEMA)."""

    corpus: StageOutputs
    key: str
    held_out: StageOutputs
    seed: int

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.mixing.split import split_shard

        return split_shard(self, context)


@dataclass(frozen=True)
class TrainTokenizerTask:
    """Train on a sample of the training side: equal shares of 8 MiB per source, documents by
    their keys, each by its first 64 KiB. Writes tokenizer.json."""

    corpus: StageOutputs
    split: StageOutputs
    vocabulary: int
    end_of_text: str

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.mixing.tokenizer import train_tokenizer

        return train_tokenizer(self, context)


@dataclass(frozen=True)
class CopyTokenizerTask:
    """Take a tokenizer file as it is. Writes tokenizer.json."""

    path: Path
    sha256: str
    end_of_text: str

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.mixing.tokenizer import copy_tokenizer

        return copy_tokenizer(self, context)


@dataclass(frozen=True)
class TokeniseTask:
    """Encode one shard's training documents.

    Writes tokens/{key}.bin (token_files: little-endian, end of text after every document) and
    index/{key}.parquet (tokenise.INDEX_SCHEMA, then columns of numbers as float64 and of
    categories as text).
    """

    corpus: StageOutputs
    key: str
    split: StageOutputs
    tokenizer: StageOutputs
    end_of_text: str

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.mixing.tokenise import tokenise_shard

        return tokenise_shard(self, context)


@dataclass(frozen=True)
class TokeniseHeldOutTask:
    """Encode what is scored of the held-out documents. Writes
    held_out_tokens.parquet (tokenise.HELD_OUT_TOKENS_SCHEMA)."""

    held_out: StageOutputs
    tokenizer: StageOutputs
    end_of_text: str

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.mixing.tokenise import tokenise_held_out

        return tokenise_held_out(self, context)


@dataclass(frozen=True)
class SampleTask:
    """Sample one mix for one seed and write its tokens.

    Writes {key}.bin (as token files of TokeniseTask) and sample/{key}.parquet
    (mix_sample.SAMPLE_SCHEMA). Metrics: tokens wanted and sampled, and the share of each
    component.
    """

    key: str
    mix: str
    components: tuple[Component, ...]
    budget: int | None
    seed: int
    tokenised: StageOutputs

    def run(self, context: TaskContext) -> TaskResult:
        from proxy.mixing.mix_sample import write_sample

        return write_sample(self, context)
