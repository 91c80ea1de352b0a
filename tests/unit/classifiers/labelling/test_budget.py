"""What labelling costs, and whether more of it fits into the budget."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifiers.judges.judge import Usage
from classifiers.judges.judge_config import Prices
from classifiers.labelling.budget import BudgetTracker
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import Attempt

PRICES = Prices(prompt=2, cached=0.5, completion=8, gpu_hour=3.6)


def test_money_is_tokens_and_gpu_time() -> None:
    budget = BudgetTracker(Budget(), PRICES, gpu_seconds=lambda: 1_000.0)
    budget.paid(Usage(3_000_000, 1_000_000, 500_000))
    assert budget.money == pytest.approx(2 * 2 + 0.5 + 8 / 2 + 1.0)
    assert str(budget) == "3,500,000 tokens, 1,000 GPU-seconds, 9.50 in money"


def test_cached_tokens_cost_as_others_without_a_price_of_their_own() -> None:
    budget = BudgetTracker(Budget(), Prices(prompt=2))
    budget.paid(Usage(1_000_000, 900_000, 0))
    assert budget.money == pytest.approx(2.0)
    assert "in money" not in str(BudgetTracker(Budget(), Prices()))


def test_earlier_attempts_of_the_job_count() -> None:
    budget = BudgetTracker(
        Budget(), Prices(), [Attempt("j", "", b"k", "document", "labelled", 70, 10, 5)]
    )
    assert (budget.tokens, budget.used) == (75, Usage(70, 10, 5))


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 20), st.booleans()), max_size=60))
def test_what_fits_never_exceeds_the_budget(requests: list[tuple[int, int, bool]]) -> None:
    """Requests that take what was thought, some of them answered before the next is asked."""
    budget = BudgetTracker(Budget(tokens=500), Prices())
    under_way: list[Usage] = []
    for prompt, generated, answer_first in requests:
        if answer_first and under_way:
            usage = under_way.pop()
            budget.release(usage)
            budget.paid(usage)
        if budget.reserve(Usage(prompt, 0, generated)):
            under_way.append(Usage(prompt, 0, generated))
        assert budget.tokens + sum(u.prompt + u.completion for u in under_way) <= 500
        assert budget.is_waiting == bool(under_way)


def test_generated_tokens_are_reserved_at_their_own_price() -> None:
    budget = BudgetTracker(Budget(money=8.0), PRICES)
    assert not budget.reserve(Usage(0, 0, 1_000_001))
    assert budget.reserve(Usage(0, 0, 1_000_000))
    assert not budget.reserve(Usage(1, 0, 0))
    budget.release(Usage(0, 0, 1_000_000))
    assert budget.reserve(Usage(4_000_000, 0, 0))


def test_gpu_time_ends_it_once_it_is_used_up() -> None:
    seconds = [5.0]
    budget = BudgetTracker(Budget(gpu_seconds=10), Prices(), gpu_seconds=lambda: seconds[0])
    assert budget.reserve(Usage(1))
    seconds[0] = 10.5
    assert not budget.reserve(Usage(1))


def test_what_is_set_aside_is_not_spent_on_documents_and_waits_for_nothing() -> None:
    budget = BudgetTracker(Budget(tokens=100), Prices())
    budget.keep(Usage(30))
    assert not budget.is_waiting
    assert not budget.reserve(Usage(71))
    for _ in range(3):
        assert budget.reserve(Usage(70))
        assert budget.is_waiting
        budget.release(Usage(70))
    assert not budget.is_waiting


def test_no_budget_has_no_end() -> None:
    assert BudgetTracker(Budget(), PRICES).reserve(Usage(10**12, 0, 10**12))
