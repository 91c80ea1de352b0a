from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.training.memory import LADDER, fitting_sizes, machine_bytes, training_bytes
from proxy.training.sizes import default_recipe, model_spec


def needed(size: str, tokens: int) -> int:
    spec = model_spec(size)
    return training_bytes(spec, default_recipe(spec, tokens))


def test_weights_gradients_and_moments_are_counted():
    assert needed("1b", 10**6) > 16 * model_spec("1b").parameters


@pytest.mark.parametrize(("size", "gigabytes"), [("100k", 0.1), ("1m", 0.5), ("30m", 8)])
def test_small_proxies_fit_into_a_small_machine(size, gigabytes):
    assert needed(size, 2_000_000) < gigabytes * 10**9


def test_seven_billion_parameters_do_not_fit_into_ninety_gigabytes():
    assert needed("7b", 20_000) > 90 * 10**9


@given(st.integers(10**6, 10**12), st.integers(10_000, 10**9))
def test_sizes_that_fit_are_a_beginning_of_the_ladder(available, tokens):
    fitting = fitting_sizes(tokens, available)
    assert tuple(fitting) == LADDER[: len(fitting)]
    assert all(needed(size, tokens) <= available for size in fitting)


def test_a_machine_has_no_more_than_its_physical_memory():
    assert 0 < machine_bytes() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
