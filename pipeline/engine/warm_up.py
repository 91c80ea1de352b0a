"""Steps load what they need once, in the process that workers are forked from."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from pipeline.documents import DOCUMENT_SCHEMA, Docs, arrow_type
from pipeline.engine.step_calls import step_faults
from pipeline.step import Step

# Something of what kernels look for, so that all of them are compiled: lines, sentences, marks,
# addresses, characters beyond ASCII and a wrong decoding.
TEXT = """The 1st line has "words", a citation [1] and the address a.name@example.org.
A second line, with é and âœ”: one two three four five six. Is it a question? It is!

- A list, and the last paragraph..."""
_SAMPLE = {
    "id": "sample",
    "text": TEXT,
    "source": "sample",
    "url": "https://www.example.org/page",
    "language": "en",
    "_source": "sample",
    "_offset": 0,
}


def warm_up(steps: Iterable[Step], schema: pa.Schema = DOCUMENT_SCHEMA) -> None:
    """Prepare ``steps``, of which the first meets documents of ``schema``.

    Raises ShardError naming a step that fails.
    """
    docs = Docs(pa.RecordBatch.from_pylist([_SAMPLE], schema=schema))
    for step in steps:
        with step_faults(step, "prepare"):
            step.prepare(docs)
        added = {name: pa.nulls(1, arrow_type(kind)) for name, kind in step.adds().items()}
        docs = docs.with_columns(added)
