"""A share of the documents, drawn by hash."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

import kernels.hashing
import kernels.text
from winnow import Docs, Rule, Signals, ThresholdFilter


class Sampler(ThresholdFilter):
    """Keep a random share of the documents.

    A document is drawn by a hash of its id and ``seed``, so the sample does not depend on the
    order of documents, on shards or on workers, a smaller ``rate`` keeps a part of what a larger
    one keeps, and a rerun keeps the same. datatrove 0.10.1's ``SamplerFilter`` takes the next of
    one series of random numbers for each document, and so depends on all of these. Two samplers
    in one manifest need different seeds, or the second draws what the first has drawn.
    """

    kernels: ClassVar[tuple[str, ...]] = ("hashing", "text")

    rate: float = Field(0.5, ge=0, le=1, description="share of documents to keep")
    seed: int = Field(0, ge=0, lt=2**64, description="another seed draws another sample")
    by: Literal["id", "text"] = Field(
        "id", description="what is hashed; by text, equal texts stay or go together"
    )

    def measure(self, docs: Docs) -> Signals:
        return {"sampler_draw": self._draws(docs.column(self.by))}

    def rules(self) -> list[Rule]:
        return [Rule("sampler", "sampler_draw", "rate", most=self.rate)]

    def _draws(self, keys: pa.LargeStringArray) -> npt.NDArray[np.float64]:
        """Numbers [rows] above 0 and up to 1, so that no draw is within a rate of 0."""
        hashes = kernels.hashing.xxh64_rows(*kernels.text.text_buffers(keys), self.seed)
        return ((hashes >> np.uint64(11)) + np.uint64(1)).astype(np.float64) * 2.0**-53
