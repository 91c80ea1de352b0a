"""How much to ask of a server at once: as much as makes it faster, less when it pushes back."""

from __future__ import annotations

import time
from collections.abc import Callable

# Twice as much at once should bring a third more answers in the round after, half of which are to
# requests from before, where the server was not busy yet: far enough from GAIN to be told by noise.
GROWTH = 2.0
GAIN = 1.05  # more at once has to bring so much more throughput
MOST_IDLE_ROUNDS = (
    8  # rounds without a try to grow after it brought nothing several times; 1 at first
)
ROUND = 16  # answers that a round has at least, so that its rate means something


class ConcurrencyWindow:
    """A limit on requests under way. A round is as many answers as the limit allows at once.

    It grows while a round brings more answers per second than the one before; when growing brought
    nothing it is taken back and tried again some rounds later, more of them each time up to
    PATIENCE. It is halved when the server says that it is busy, and not again by what had been
    asked before that.
    """

    def __init__(
        self, start: int = 32, most: int = 256, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self.most, self._clock = float(min(start, most)), most, clock
        self._begun, self._answers = clock(), 0
        self._before: tuple[float, float] | None = None  # limit and rate that growing began from
        self._waiting_rounds = 0  # rounds to wait before growing again
        self._best = 0.0  # answers per second of the best round of late under the present limit
        self._idle_rounds = 1  # such rounds, when growing brings nothing the next time
        self._behind = 0  # requests from before the last halving that are still to come back

    @property
    def limit(self) -> int:
        return int(self._limit)

    def answered(self) -> None:
        """A request under way has been answered."""
        self._behind = max(0, self._behind - 1)
        self._answers += 1
        if self._answers >= max(self.limit, ROUND):
            self._round()

    def pushed_back(self, others: int) -> None:
        """The server said that it is busy, or did not answer in time; ``others`` are the requests
        that are still under way."""
        if self._behind > 0:
            self._behind -= 1
            return
        self._limit = max(1.0, self._limit / 2)
        self._behind, self._waiting_rounds, self._before = others, MOST_IDLE_ROUNDS, None
        self._best = 0.0
        self._begun, self._answers = self._clock(), 0

    def _round(self) -> None:
        now = self._clock()
        rate = self._answers / max(now - self._begun, 1e-6)
        self._begun, self._answers = now, 0
        if self._before is not None and rate <= self._before[1] * GAIN:
            self._limit, self._before, self._best = self._before[0], None, 0.0
            self._waiting_rounds, self._idle_rounds = (
                self._idle_rounds,
                min(MOST_IDLE_ROUNDS, 2 * self._idle_rounds),
            )
            return
        if self._before is not None:  # growing was right
            self._before, self._best, self._idle_rounds = None, 0.0, 1
        self._best = max(self._best, rate)
        if self._waiting_rounds > 1:
            self._waiting_rounds -= 1
        elif self._limit < self.most:
            self._before, self._waiting_rounds = (self._limit, self._best), 0
            self._limit = min(float(self.most), max(self._limit + 1, self._limit * GROWTH))
