"""What labelling costs, and when the budget is spent."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from classifiers.judges.judge import Usage
from classifiers.judges.judge_config import Prices
from classifiers.labelling.label_config import Budget
from classifiers.labelling.label_store import Attempt

MILLION = 1_000_000
HOUR_S = 3_600


class BudgetTracker:
    """Counts what a job has cost, earlier tries of it included.

    ``gpu_seconds`` gives server time × GPUs up to now.
    """

    def __init__(
        self,
        budget: Budget,
        prices: Prices,
        earlier: Iterable[Attempt] = (),
        gpu_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._budget, self._prices, self._gpu_seconds = budget, prices, gpu_seconds
        self.used = Usage()
        self._reserved = self._exclusive = Usage()
        for attempt in earlier:
            self.used += Usage(
                attempt.prompt_tokens, attempt.cached_tokens, attempt.completion_tokens
            )

    @property
    def tokens(self) -> int:
        return self.used.prompt + self.used.completion

    @property
    def gpu_seconds(self) -> float:
        return self._gpu_seconds()

    @property
    def money(self) -> float:
        """In the currency of the prices."""
        return self._token_price(self.used) + self.gpu_seconds / HOUR_S * self._prices.gpu_hour

    def _token_price(self, usage: Usage) -> float:
        prices = self._prices
        cached = prices.prompt if prices.cached is None else prices.cached
        fresh = (usage.prompt - usage.cached) * prices.prompt
        return (fresh + usage.cached * cached + usage.completion * prices.completion) / MILLION

    def paid(self, usage: Usage) -> None:
        self.used += usage

    def reserve(self, usage: Usage) -> bool:
        """Whether a request of about this size fits into the budget, together with what is under
        way; if so it counts as under way."""
        ahead = self._reserved + self._exclusive + usage
        budget = self._budget
        tokens = self.tokens + ahead.prompt + ahead.completion
        if budget.tokens is not None and tokens > budget.tokens:
            return False
        if budget.gpu_seconds is not None and self.gpu_seconds > budget.gpu_seconds:
            return False
        money = self.money + self._token_price(ahead)
        if budget.money is not None and money > budget.money:
            return False
        self._reserved += usage
        return True

    def release(self, usage: Usage) -> None:
        """The request is not under way any more."""
        self._reserved -= usage

    def keep(self, usage: Usage) -> None:
        """Set aside what has to be asked at the end."""
        self._exclusive = usage

    @property
    def is_waiting(self) -> bool:
        """Whether requests are under way, which may turn out smaller than they might be."""
        return self._reserved != Usage()

    def __str__(self) -> str:
        parts = [f"{self.tokens:,} tokens", f"{self.gpu_seconds:,.0f} GPU-seconds"]
        if self.money:
            parts.append(f"{self.money:,.2f} in money")
        return ", ".join(parts)
