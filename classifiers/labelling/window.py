"""How much to ask of a server at once: as much as makes it faster, less when it pushes back."""

from __future__ import annotations

import time
from collections.abc import Callable

GROWTH = 1.5
GAIN = 1.05  # more at once has to bring so much more throughput
PATIENCE = 8  # rounds without a try to grow
ROUND = 16  # answers that a round has at least, so that its rate means something


class Window:
    """A limit on requests under way. A round is as many answers as the limit allows at once.

    It grows while a round brings more answers per second than the one before; when growing brought
    nothing it is taken back and tried again some rounds later. It is halved, once a round, when
    the server says that it is busy.
    """

    def __init__(
        self, start: int = 8, most: int = 256, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self.most, self._clock = float(min(start, most)), most, clock
        self._begun, self._answers = clock(), 0
        self._before: tuple[float, float] | None = None  # limit and rate that growing began from
        self._rest = 0  # rounds to wait before growing again
        self._halved = False

    @property
    def limit(self) -> int:
        return int(self._limit)

    def answered(self) -> None:
        """A request under way has been answered."""
        self._answers += 1
        if self._answers >= max(self.limit, ROUND):
            self._round()

    def pushed_back(self) -> None:
        """The server said that it is busy, or did not answer in time."""
        if not self._halved:
            self._limit = max(1.0, self._limit / 2)
            self._halved, self._rest, self._before = True, PATIENCE, None
            self._begun, self._answers = self._clock(), 0

    def _round(self) -> None:
        now = self._clock()
        rate = self._answers / max(now - self._begun, 1e-6)
        self._begun, self._answers, self._halved = now, 0, False
        if self._rest > 0:
            self._rest -= 1
        elif self._before is not None and rate <= self._before[1] * GAIN:
            self._limit, self._before, self._rest = self._before[0], None, PATIENCE
        elif self._limit < self.most:
            self._before = (self._limit, rate)
            self._limit = min(float(self.most), max(self._limit + 1, self._limit * GROWTH))
