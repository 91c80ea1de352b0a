"""A sample depends on ids and the seed, and on nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from filters.sampler import Sampler
from pipeline.documents import Docs
from winnow.testing import warm_up

keys = st.lists(st.text(max_size=20), max_size=8)
rates = st.floats(0, 1)
IDS = [f"doc-{i}" for i in range(20_000)]


def docs_of(ids: list[str], texts: list[str] | None = None) -> Docs:
    columns = {"id": ids, "text": texts or ["text"] * len(ids)}
    return Docs(pa.record_batch({k: pa.array(v, pa.large_string()) for k, v in columns.items()}))


def kept(ids: list[str], **parameters: Any) -> list[bool]:
    return list(Sampler(**parameters).filter(docs_of(ids)).keep.tolist())


@given(keys, rates, st.integers(0, 2**64 - 1))
def test_a_document_is_drawn_by_the_hash_of_its_id(ids: list[str], rate: float, seed: int) -> None:
    draws = [((xxhash.xxh64_intdigest(i.encode(), seed) >> 11) + 1) / 2**53 for i in ids]
    step = Sampler(rate=rate, seed=seed)
    assert np.asarray(step.measure(docs_of(ids))["sampler_draw"]).tolist() == draws
    assert kept(ids, rate=rate, seed=seed) == [draw <= rate for draw in draws]


@given(keys, rates, st.data())
def test_order_and_neighbours_do_not_matter(ids: list[str], rate: float, data: Any) -> None:
    verdicts = dict(zip(ids, kept(ids, rate=rate), strict=True))
    shuffled = data.draw(st.permutations(ids))
    assert kept(shuffled, rate=rate) == [verdicts[i] for i in shuffled]
    assert [kept([i], rate=rate) for i in ids] == [[verdicts[i]] for i in ids]


@given(keys, rates, rates)
def test_a_smaller_rate_keeps_a_part(ids: list[str], one: float, other: float) -> None:
    low, high = sorted((one, other))
    few, many = kept(ids, rate=low), kept(ids, rate=high)
    assert all(more or not less for less, more in zip(few, many, strict=True))


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.5, 0.9])
def test_the_share_kept_is_the_rate(rate: float) -> None:
    # Four standard deviations of a fair draw.
    assert np.mean(kept(IDS, rate=rate)) == pytest.approx(rate, abs=4 * (rate / len(IDS)) ** 0.5)


def test_rates_of_0_and_1_keep_nothing_and_all() -> None:
    assert not any(kept(IDS, rate=0))
    assert all(kept(IDS, rate=1))


def test_another_seed_draws_another_sample() -> None:
    one, other = np.array(kept(IDS)), np.array(kept(IDS, seed=1))
    assert np.mean(one & other) == pytest.approx(0.25, abs=0.02)


def test_equal_texts_go_together_by_text() -> None:
    texts = [str(i % 50) for i in range(1_000)]
    docs = docs_of([str(i) for i in range(1_000)], texts)
    keep = Sampler(by="text").filter(docs).keep
    assert 0 < keep.sum() < 1_000
    assert keep.tolist() == keep.tolist()[:50] * 20
    assert Sampler(by="id").filter(docs).keep.tolist() != keep.tolist()


def test_the_reason_and_the_draw_are_told() -> None:
    verdict = Sampler(rate=0).filter(docs_of(["a"]))
    assert verdict.reason == ["sampler"]
    assert 0 < np.asarray(verdict.signals["sampler_draw"])[0] <= 1
    assert Sampler().rules()[0].parameter == "rate"


def test_preparing_needs_no_documents() -> None:
    before = kept(["a", "b"])
    warm_up([Sampler()])
    assert kept(["a", "b"]) == before
    assert kept([]) == []


@pytest.mark.parametrize("wrong", [{"rate": 1.1}, {"rate": -0.1}, {"seed": -1}, {"by": "url"}])
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Sampler(**wrong)
