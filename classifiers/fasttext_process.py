"""Trains one fastText model: ``python -m classifiers.fasttext_process OPTIONS MODEL``.

In a process of its own, because of what fastText learns on (fasttext_student.MIN_WEIGHTS): a
process that has worked before may hold a free block of 32 MiB, and then its matrix is not fresh.
"""

from __future__ import annotations

import json
import sys

import fasttext

DIVERGED = 3  # exit code; the reason is on standard error


def main(options: str, model: str) -> int:
    """Train with ``options`` (JSON, fastText's own names) and save to the path ``model``."""
    try:
        trained = fasttext.train_supervised(**json.loads(options), thread=1, verbose=0)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return DIVERGED
    trained.save_model(model)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
