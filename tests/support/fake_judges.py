"""A judge without a model, for the tests of what asks judges."""

from __future__ import annotations

from classifiers.judges.answers import Answer
from classifiers.judges.judge import LabelRequest, RequestError, Usage
from classifiers.judges.judge_identity import Wording

ONE = Usage(10, 0, 1)  # what one request takes


class FakeJudge:
    """Lives, cuts nothing, and answers nothing; tests override what they are about."""

    name = "judge"

    async def ask(self, request: LabelRequest) -> tuple[Answer, Usage]:
        raise NotImplementedError

    async def check_labels(self, wording: Wording) -> Usage:
        return Usage()

    def estimate(self, request: LabelRequest) -> Usage:
        return ONE

    def shorten(self, request: LabelRequest) -> bool:
        return False

    async def is_alive(self, failure: RequestError) -> bool:
        return True

    async def restart(self) -> None:
        raise NotImplementedError
