"""The parameters of students and of their training, as a manifest gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["fasttext", "linear", "mlp"]

# With one thread, fastText 0.9.3 and its forks fill the first tenth of the input matrix only
# (densematrix.cc: uniformThread) and learn on whatever the allocator hands out for the rest. Above
# 32 MiB, the most that its mmap threshold can grow to, glibc hands out fresh pages, which are
# zero, to a process that has freed no block as large (so training has a process of its own); below,
# recycled memory makes models differ from run to run or training end in NaN.
MIN_WEIGHTS = 32 * 2**20 // 4


class FastTextSizes(BaseModel):
    """What decides whether a model is large enough to be trained repeatably."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dim: int = Field(default=16, ge=1, le=512, description="length of a word's vector")
    bucket: int = Field(
        default=600_000, ge=1, le=50_000_000, description="vectors that n-grams are hashed into"
    )

    @model_validator(mode="after")
    def _large_enough_to_be_repeatable(self) -> FastTextSizes:
        if self.dim * self.bucket <= MIN_WEIGHTS:
            raise ValueError(
                f"dim × bucket is {self.dim * self.bucket:,} and must be above {MIN_WEIGHTS:,}: "
                "fastText does not train smaller models repeatably"
            )
        return self


class FastTextSettings(FastTextSizes):
    """Parameters of fastText's supervised training, in its own terms.

    The defaults learn from a few hundred documents a class as well as from many: on 249 pages
    labelled by people, 5-fold AUC was 0.73 to 0.74 with ``epoch`` 5 to 10, 0.85 with 25, and the
    same for ``dim`` 16 and 64, of which 16 scores faster.
    """

    epoch: int = Field(default=25, ge=1, le=1_000, description="passes over the training sample")
    lr: float = Field(default=0.5, gt=0, le=10, description="learning rate at the start")
    # With 1, fastText leaves the buckets out, and small models are not repeatable.
    word_ngrams: int = Field(default=2, ge=2, le=5, description="longest word n-gram it sees")
    min_count: int = Field(default=2, ge=1, description="rarer words are not learned")


class FastTextVectors(FastTextSizes):
    """Word vectors of fastText, learned from documents of the corpus, labelled or not.

    A document is the mean of its words' vectors, each brought to length 1, and the logarithm of
    the number of its words, which a mean forgets. Words are not weighted by how rare they are:
    whether a page is prose or a list shows in the frequent ones (docs/students.md).
    """

    kind: Literal["fasttext"] = Field(description="word vectors by fastText")
    documents: int = Field(default=10_000, ge=1, description="documents to learn vectors from")
    dim: int = Field(default=64, ge=1, le=512, description="length of a vector")
    epoch: int = Field(default=10, ge=1, le=1_000, description="passes over the documents")
    lr: float = Field(default=0.05, gt=0, le=10, description="learning rate at the start")
    min_count: int = Field(default=2, ge=1, description="rarer words have no vector of their own")
    minn: int = Field(default=3, ge=1, le=20, description="shortest character n-gram of a word")
    maxn: int = Field(default=6, ge=1, le=20, description="longest character n-gram of a word")
    bucket: int = Field(
        default=150_000, ge=1, le=50_000_000, description="vectors that n-grams are hashed into"
    )

    @model_validator(mode="after")
    def _shortest_first(self) -> FastTextVectors:
        if self.minn > self.maxn:
            raise ValueError(f"minn {self.minn} is more than maxn {self.maxn}")
        return self


class SentenceTransformer(BaseModel):
    """A frozen encoder of the library sentence-transformers (``pip install winnow[embeddings]``).

    It runs on a GPU if there is one, else on all cores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["sentence-transformers"] = Field(description="a neural encoder")
    model: str = Field(
        min_length=1, description="a folder, from the manifest's, or the name of a model of the hub"
    )
    revision: str | None = Field(
        default=None, description="commit of the hub's model; a folder needs none"
    )
    prompt: str = Field(default="", description="put before each document, as the model wants it")
    batch: int = Field(default=32, ge=1, description="documents encoded at once")


Embedding = FastTextVectors | SentenceTransformer


def column_types(column: str, scale: bool) -> dict[str, pa.DataType]:
    """The names and types of what ``Student.columns`` gives."""
    import pyarrow as pa

    model = {f"{column}_student": pa.large_string()}
    if scale:
        return {column: pa.float32(), **model}
    return {column: pa.large_string(), f"{column}_confidence": pa.float32(), **model}
