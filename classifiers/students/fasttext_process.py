"""Trains one fastText model: ``python -m classifiers.students.fasttext_process OPTIONS MODEL``.

In a process of its own, because of what fastText learns on (student_settings.MIN_WEIGHTS): a
process that has worked before may hold a free block of 32 MiB, and then its matrix is not fresh.
"""

from __future__ import annotations

import json
import sys

DIVERGED = 3  # exit code; the reason is on standard error


def main(options: str, model: str) -> int:
    """Train with ``options`` (JSON, fastText's own names) and save to the path ``model``.

    With an option ``model`` (``skipgram``, ``cbow``) a model of words, else a classifier.
    """
    # Imported here alone: those who need the exit codes need no fastText.
    import fasttext

    given = json.loads(options)
    train = fasttext.train_unsupervised if "model" in given else fasttext.train_supervised
    try:
        trained = train(**given, thread=1, verbose=0)
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return DIVERGED
    trained.save_model(model)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
