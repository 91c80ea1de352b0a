"""How well students learn from labels, and how fast they score, on any labelled documents.

    python bench/students.py --gold FILE [--students NAME…] [--folds K] [--seed N] [--json]

Each line of FILE (.jsonl or .jsonl.zst) has a ``text`` and a ``label`` that is a number. Documents
are split into ``--folds`` parts, at random from ``--seed`` and stratified by label; each part is
scored by a student that was trained on the others, with default settings: nothing that it has
learned, word vectors and penalties included, comes from the documents it is measured on.

Of the scores of all documents together: Spearman's correlation with the labels; quadratic-weighted
kappa with the labels, and F1 of documents in the upper half of the scale, both of scores made into
grades. For that the scores of each part are cut at the quantiles which the training labels have, so
that grades are as frequent. Intervals are percentile bootstrap intervals of 95 % over documents:
they do not hold what another training sample would change. ``documents_per_second`` is of one core,
preprocessing included, on these documents cut at 1,000 bytes and repeated (which
keeps their words in the processor's caches; docs/students.md has the speed on distinct ones), and
``preprocessing_share`` is the part of the time that preprocessing takes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
if __name__ == "__main__":
    os.environ.update(dict.fromkeys(THREADS, "1"))

ROOT = Path(__file__).resolve().parent.parent
sys.path[:] = [str(ROOT), *(path for path in sys.path if path != str(ROOT / "bench"))]

import numpy as np  # noqa: E402
import orjson  # noqa: E402
import pyarrow as pa  # noqa: E402
from sklearn.exceptions import ConvergenceWarning  # noqa: E402

from classifiers.agreement.agreement_metrics import Estimate, bootstrap, f1_at, spearman  # noqa: E402
from classifiers.agreement.agreement_metrics import quadratic_kappa as kappa  # noqa: E402
from classifiers.sampling.hash_sampling import hash_of  # noqa: E402
from classifiers.students.preprocessing import TextBatch  # noqa: E402
from classifiers.students.soft_labels import from_numbers  # noqa: E402
from classifiers.students.student import Student  # noqa: E402
from classifiers.students.student_files import WORD_VECTORS  # noqa: E402
from classifiers.students.student_loading import opened  # noqa: E402
from classifiers.students.student_metrics import cuts, graded, middle, nearest  # noqa: E402
from classifiers.students.student_training import Recipe, train_student  # noqa: E402
from pipeline.errors import WinnowError  # noqa: E402

STUDENTS = ("fasttext", "linear", "mlp")
FEWEST = 20
# Word vectors are learned from so many training documents at most, as they take longest.
WORDS_FROM = 1_000
# Documents are timed at this length, and repeated until there are so many.
BYTES, TIMED = 1_000, 5_000


class Refused(Exception):
    """The input cannot be used; holds what is wrong, and a hint."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} (hint: {hint})")


def read_gold(path: Path) -> tuple[list[str], np.ndarray]:
    """TextBatch and labels [n] of the file. Raises Refused."""
    if not path.is_file():
        raise Refused(f"there is no file '{path}'", "name a .jsonl or .jsonl.zst file")
    if not path.name.endswith((".jsonl", ".jsonl.zst")):
        raise Refused(f"'{path}' is neither .jsonl nor .jsonl.zst", "JSON lines, plain or by zstd")
    try:
        data = path.read_bytes()
        if path.suffix == ".zst":
            with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as file:
                data = file.read()
    except OSError as error:
        raise Refused(f"'{path}' cannot be read: {error}", "is it a whole zstd file?") from None
    texts, labels = [], []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            text, label = _document(line, f"{path.name}:{number}")
            texts.append(text)
            labels.append(label)
    return texts, np.array(labels, dtype=np.float64)


def _document(line: bytes, place: str) -> tuple[str, float]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Refused(f"{place} is no JSON: {error}", "a JSON object on each line") from None
    if not isinstance(row, dict) or not isinstance(row.get("text"), str):
        raise Refused(f"{place} has no `text`", 'lines are like {"text": "…", "label": 1}')
    label = row.get("label")
    if not isinstance(label, int | float) or not math.isfinite(label):
        raise Refused(
            f"{place} has no `label` that is a number", "labels are grades, such as 0 to 5"
        )
    return row["text"], float(label)


def checked(texts: Sequence[str], labels: np.ndarray, folds: int) -> None:
    """Raises Refused where nothing could be measured."""
    if len(texts) < FEWEST:
        message = f"{len(texts)} documents are too few to measure on"
        raise Refused(message, f"{FEWEST} at least, better some hundreds")
    if not any(text.strip() for text in texts):
        raise Refused("all texts are empty", "is `text` the right field?")
    if len(np.unique(labels)) == 1:
        message = f"all labels are {labels[0]:g}"
        raise Refused(message, "students learn from documents of two classes at least")
    if not 2 <= folds <= len(texts):
        raise Refused(f"{folds} folds of {len(texts)} documents", "from 2 to 10, 5 by default")


def parts(labels: np.ndarray, texts: Sequence[str], folds: int, seed: int) -> np.ndarray:
    """The part [n] of each document: documents in order of their labels, at random among equal
    ones, are dealt out in turn. Equal texts go together, or one would betray the other."""
    names: dict[str, int] = {}
    group = np.array([names.setdefault(text.strip(), len(names)) for text in texts])
    _, first = np.unique(group, return_index=True)
    shuffled = np.random.default_rng(seed).permutation(first)
    ordered = shuffled[np.argsort(labels[shuffled], kind="stable")]
    dealt = np.empty(len(names), dtype=np.int64)
    dealt[group[ordered]] = np.arange(len(ordered)) % folds
    return dealt[group]


class Trial:
    """The documents, split, and how one part is scored by students trained on the others."""

    def __init__(self, texts: Sequence[str], labels: np.ndarray, folds: int, seed: int) -> None:
        self.texts = TextBatch(pa.array(texts, pa.large_string()))
        self.soft = from_numbers(labels)
        self.seed = seed
        hashes = [hash_of(seen, seed) for seen in self.texts.preprocessed.to_pylist()]
        self.hashes = np.array(hashes, dtype=np.uint64)
        self.part = parts(labels, texts, folds, seed)

    def run(self, number: int, names: Sequence[str]) -> dict[str, tuple[Student, np.ndarray]]:
        """By name, a student that has not seen part ``number``, and its scores of that."""
        learned, unseen = np.flatnonzero(self.part != number), np.flatnonzero(self.part == number)
        # In the order of hashes, as the step distill does.
        learned = learned[np.argsort(self.hashes[learned], kind="stable")]
        texts, soft = self.texts.take(learned), self.soft.take(learned)
        found: dict[str, tuple[Student, np.ndarray]] = {}
        vectors: Path | None = None
        with tempfile.TemporaryDirectory() as root:
            for name in names:
                folder = Path(root) / name
                folder.mkdir()
                corpus = texts.take(np.arange(min(len(texts), WORDS_FROM)))
                given = (texts, soft, self.hashes[learned], corpus, self.seed, folder)
                card = train_student(Recipe(student=name), *given, vectors=vectors)
                if (folder / WORD_VECTORS).exists():
                    vectors = folder / WORD_VECTORS
                student = opened(card, folder)
                found[name] = (student, student.score(self.texts.take(unseen)))
        return found

    def graded(self, number: int, scores: np.ndarray) -> np.ndarray:
        """The grades that scores of part ``number`` come to."""
        assert self.soft.values is not None
        shares = self.soft.take(np.flatnonzero(self.part != number)).shares
        return graded(scores, cuts(scores, shares), self.soft.values)


def measure(
    texts: Sequence[str], labels: np.ndarray, students: Sequence[str], folds: int, seed: int
) -> dict[str, Any]:
    """The report, as JSON values."""
    trial = Trial(texts, labels, folds, seed)
    numbers = np.unique(trial.part).tolist()
    # fastText trains in processes of its own, so threads are enough to use all cores.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = list(pool.map(lambda number: trial.run(number, students), numbers))
    report: dict[str, Any] = {}
    for name in students:
        scores, grades = np.zeros(len(texts)), np.zeros(len(texts))
        for number, run in zip(numbers, runs, strict=True):
            rows = trial.part == number
            scores[rows] = run[name][1]
            grades[rows] = trial.graded(number, run[name][1])
        assert trial.soft.values is not None
        values = figures(labels, scores, grades, trial.soft.values, seed)
        report[name] = {**values, **documents_per_second(runs[0][name][0].score, texts)}
    return {"documents": len(texts), "students": report}


def figures(
    labels: np.ndarray, scores: np.ndarray, grades: np.ndarray, values: Sequence[float], seed: int
) -> dict[str, Any]:
    truth, upper = nearest(labels, values), middle(values)
    found = {
        "spearman": bootstrap(spearman, labels, scores, seed=seed),
        "kappa": bootstrap(kappa, truth, grades, seed=seed),
        "f1": bootstrap(lambda a, b: f1_at(a, b, upper), truth, grades, seed=seed),
    }
    return {key: value for name, one in found.items() for key, value in _values(name, one)}


def _values(name: str, estimate: Estimate) -> list[tuple[str, Any]]:
    values = estimate.as_json()
    return [(name, values["value"]), (f"{name}_95", [values["low"], values["high"]])]


def documents_per_second(
    score: Callable[[TextBatch], Any], texts: Sequence[str]
) -> dict[str, float]:
    """Of documents cut at 1,000 bytes, by CPU time of this thread; and how much of that is the
    preprocessing."""
    cut = [text.encode()[:BYTES].decode(errors="ignore") for text in texts if text.strip()]
    array = pa.array((cut * (TIMED // len(cut) + 1))[:TIMED], pa.large_string())
    score(TextBatch(array))  # kernels are compiled, words met
    begun = time.thread_time()
    batch = TextBatch(array)
    _ = batch.blank
    seen = time.thread_time()
    score(batch)
    ended = time.thread_time()
    return {
        "documents_per_second": round(len(array) / (ended - begun)),
        "preprocessing_share": round((seen - begun) / (ended - begun), 3),
    }


def table(report: Mapping[str, Any]) -> str:
    """The report in Markdown."""
    head = ("student", "Spearman", "kappa", "F1", "documents/s")
    lines = [f"{report['documents']:,} documents", "", _row(*head), "| --- |" + " ---: |" * 4]
    for name, row in report["students"].items():
        cells = [_figure(row, figure) for figure in ("spearman", "kappa", "f1")]
        lines.append(_row(name, *cells, f"{row['documents_per_second']:,}"))
    return "\n".join(lines)


def _figure(row: Mapping[str, Any], name: str) -> str:
    if row[name] is None:
        return "–"
    low, high = row[f"{name}_95"]
    return f"{row[name]:.3f}" + ("" if low is None else f" [{low:.3f}, {high:.3f}]")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(message, "see --help")


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = _Parser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--gold", type=Path, required=True, help=".jsonl or .jsonl.zst")
    parser.add_argument("--students", nargs="+", choices=STUDENTS, default=STUDENTS)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    # Training silences these itself, but not where several threads do so at once.
    warnings.simplefilter("ignore", ConvergenceWarning)
    try:
        asked = arguments(given)
        texts, labels = read_gold(asked.gold)
        checked(texts, labels, asked.folds)
        report = measure(texts, labels, asked.students, asked.folds, asked.seed)
    except (Refused, WinnowError) as error:
        print("students.py: " + " ".join(str(error).split()), file=sys.stderr)
        return 2
    print(json.dumps(report) if asked.json else table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
