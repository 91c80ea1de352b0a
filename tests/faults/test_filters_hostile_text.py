"""Faults 10, 11 and 13, the filters' part: whatever the text, every row gets a verdict.

Every row step that is installed is tested, also one that did not exist when this was written.
"""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from small_runs import winnow
from small_students import GRADES, TOPICS, make_student
from tokenizers import Tokenizer, models, pre_tokenizers

from pipeline.documents import DOCUMENT_SCHEMA, Docs
from pipeline.manifest.registry import Registry
from pipeline.named_files import NamesFiles
from pipeline.step import FilterResult, ManifestView, RowStep, ThresholdFilter
from winnow.testing import warm_up

MEGABYTE = 10**6
# What a step cannot do without; its files are those of the fixture ``folder``.
NEEDED: dict[str, dict[str, Any]] = {
    "datatrove": {"block": "SymbolLinesFormatter"},
    "c4_badwords": {"lists": {"en": "words.txt"}},
    "character_set": {"characters": ["Latin"], "min_ratio": 0.5},
    "decontaminate": {"evaluations": {"set": "items.jsonl"}},
    "regex": {"regex_exp": r"\bbad\b|\s{3,}"},
    "score": {"students": {"grade": "grades", "topic": "topics"}},
    "stop_list": {"words": ["bad", "c++"], "file": "words.txt"},
    "token_length": {"tokenizer": "tokenizer.json", "min_tokens": 1, "max_tokens": 1000},
}
# Parameters that take other paths through the code: above all, rules that are off and so do not
# shield others from a division by zero.
OTHER: list[tuple[str, dict[str, Any]]] = [
    ("c4_badwords", {"keep_fraction": 0.5, "lists": {"en": "words.txt", "ja": "words.txt"}}),
    ("c4_paragraphs", {"min_paragraphs": 0, "min_paragraph_len": 0}),
    ("c4_quality", {"min_num_sentences": -1, "min_words_per_line": -1, "max_word_length": -1}),
    ("c4_quality", {"filter_no_terminal_punct": False, "min_num_sentences": 1}),
    ("character_set", {"characters": ["upper"], "among": ["letters"], "max_ratio": 0.5}),
    ("decontaminate", {"mode": "tag", "min_words": 3, "ngram": 4}),
    ("fineweb_quality", {"line_punct_thr": 0, "new_line_ratio": 0, "stop_chars": ["\u0301", "。"]}),
    ("fineweb_quality", {"line_punct_exclude_zero": True, "short_line_length": 0}),
    ("gopher_quality", {"min_doc_words": None, "min_avg_word_length": 0, "min_stop_words": None}),
    ("gopher_quality", {"min_doc_words": 0, "max_symbol_word_ratio": 0, "stop_words": []}),
    ("gopher_repetition", {"dup_line_frac": 0, "dup_para_frac": 0, "dup_n_grams": [[1, 0.5]]}),
    ("gopher_repetition", {"top_n_grams": [], "dup_n_grams": []}),
    ("language", {"languages": ["en", "ar"], "keep_top_pairs_threshold": 0.1}),
    ("language", {"label_only": True, "keep_top_pairs_threshold": 0}),
    ("pii", {"remove_phone_numbers": True, "only_remove_public_ips": False}),
    ("pii", {"mode": "tag", "remove_phone_numbers": True}),
    ("refinedweb_lines", {"max_uppercase_ratio": None, "max_numeric_ratio": 0}),
    ("refinedweb_lines", {"min_line_length": 0, "max_removed_ratio": 1, "counter_lines": False}),
    ("regex", {"regex_exp": r"(\pL)|(\pM)|^$", "replacement": r"\1\1", "ignore_case": True}),
    ("regex", {"regex_exp": ".", "exclude": False}),
    ("repair", {"normalization": "NFKD", "fix_line_breaks": True, "fix_character_width": True}),
    ("repair", {"unescape_html": True, "uncurl_quotes": True, "fix_latin_ligatures": True}),
    ("sampler", {"rate": 0, "by": "text"}),
    ("stop_list", {"words": ["\u0301", " b", "\0"], "ignore_case": False}),
    ("stop_list", {"words": ["a"], "word_boundaries": False, "max_hits": 3}),
    ("url", {"require_url": True, "use_integrated_lists": False, "banned_words": ["bad"]}),
]
# Where the share of nothing is no reason to go: these say so in their descriptions.
MAY_BE_NAN = {
    ("character_set", "character_set_ratio"): {"max_ratio"},
    ("fineweb_quality", "line_punct_ratio"): {"line_punct_exclude_zero"},
    ("c4_quality", "sentences"): {"min_num_sentences"},
}

SMALL = {
    "empty": "",
    "space": " ",
    "white space": " \t\n\r\x0b\x0c\x1c\x85\u00a0\u2003\u3000\n\n",
    "zero width": "\u200b\u2060\u00ad\u200d",
    "one letter": "a",
    "one word": "word",
    "one mark": ".",
    "one symbol": "#",
    "NUL": "\0",
    "NULs in words": "a\0b \0\0 the c\0\n\0d. of\0",
    "BOM": "\ufeff",
    "BOM before text": "\ufeffThe end of the world.\ufeff",
    "bidi controls": "\u202eabc\u202c the \u2066of\u2069 \u200f\u061c and",
    "right to left": "كان يا ما كان في قديم الزمان. שלום עולם, מה שלומך?",
    "combining": "e\u0301" + "\u0301\u0316\u20dd" * 40 + " Z\u0351\u034b\u0321a\u0310lgo",
    "combining first": "\u0301\u0308 the \u0301",
    "lone CR": "one\rtwo\rthe three\r",
    "CR LF": "The first line.\r\n\r\nThe second one...\r\n",
    "separators": "one.\u2028two.\u2029the three\u0085of four",
    "family": "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 of the",
    "emoji": "\U0001f44d\U0001f3fd \u2764\ufe0f \U0001f1eb\U0001f1f7",
    "half an emoji": "\u200d\U0001f467\u200d the \U0001f3fd",
    "no characters": "\ufffe\uffff\ufdd0\U0001fffe\U0010ffff the \ufffd",
    "private": "\ue000\U000f0000\U0010fffd",
    "controls": "".join(map(chr, range(32))) + "\x7f\x80\x9f",
    "ends of planes": "\u07ff\u0800\ud7ff\ue000\uffff\U00010000\U0010ffff",
    "IS_ALPHA": "IS_ALPHA",
    "markup": "{<script>&amp;&#x110000;&lt;</script>}[1][edit] lorem ipsum javascript",
    "wrong encoding": "âœ” Ã© â€œthe â€ \u00c3\u00a0",
    "personal": "a@b.org 999.1.1.1 8.8.8.8 ::1 +1 202 555 0143 4111111111111111 @ x@ @y",
    "slashes": "\\0 \\1 $1 %s {0} \\x00 \x1b[31m",
    "numbers": "0" * 400 + " \u0661\u0662 \u00bd \u2167 1e999 -0.0 NaN",
    "prose": "The cat sat on the mat, and that was the end of it. We have been with it.\n" * 3,
}  # fmt: skip
LARGE = {
    "without a space": "x" * MEGABYTE,
    "one line": "word " * (MEGABYTE // 5),
    "newlines": "\n" * 200_000,
    "carriage returns": "\r" * MEGABYTE,
    "spaces": " " * MEGABYTE,
    "NULs": "\0" * MEGABYTE,
    "one letter, its marks": "e" + "\u0301" * (MEGABYTE // 2),
    "right to left": "ن" * (MEGABYTE // 2),
    "without spaces": "性" * (MEGABYTE // 3),
    "families": "\U0001f469\u200d" * (MEGABYTE // 7),
    "dots": "." * MEGABYTE,
    "abbreviations": "a." * (MEGABYTE // 2),
    "apostrophes": "a'" * (MEGABYTE // 2),
    "at signs": "a@" * (MEGABYTE // 2),
    "addresses": "1.1.1." * (MEGABYTE // 6),
    "digits": "1" * MEGABYTE,
    "brackets": "[" * MEGABYTE,
    "ampersands": "&" * MEGABYTE,
    "mojibake": "â€" * (MEGABYTE // 5),
    "one sentence, often": ("The quick brown fox jumps over. It is. \n" * (MEGABYTE // 40)),
}
URLS = [
    None,
    "",
    "bad",
    "http://",
    "https://[::1]:x/\0\u202e",
    "http://" + "a." * 5_000 + "org/?bad",
]

registry = Registry.installed()


@cache
def row_steps() -> list[str]:
    return [n for n in registry.step_names if issubclass(registry.step(n), RowStep)]


def cases(base: type[RowStep] = RowStep) -> list[Any]:
    given: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in row_steps()]
    return [
        pytest.param(name, more, id="-".join([name, *map(str, more)]))
        for name, more in given + OTHER
        if issubclass(registry.step(name), base)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that steps name."""
    folder = tmp_path_factory.mktemp("named")
    (folder / "words.txt").write_text("bad\nworse words\n性\n")
    items = ["what is the name of the cat that sat on the mat and that was the end of it"]
    (folder / "items.jsonl").write_text("".join(json.dumps({"query": q}) + "\n" for q in items))
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    make_student(folder / "grades", "fasttext", GRADES)
    make_student(folder / "topics", "linear", TOPICS)
    return folder


def made(name: str, more: Mapping[str, Any], folder: Path) -> RowStep:
    """The step as a run has it: checked and prepared."""
    step = registry.step(name).model_validate({**NEEDED.get(name, {}), **more})
    assert list(step.check(ManifestView(folder, 0, ("web",)))) == []
    warm_up([step])
    assert isinstance(step, RowStep)
    return step


def docs_of(texts: Mapping[str, str]) -> Docs:
    rows = [
        {"id": name, "text": text, "source": "web", "_source": "web.jsonl", "_offset": number}
        | {"url": URLS[number % len(URLS)], "language": [None, "en"][number % 2]}
        for number, (name, text) in enumerate(texts.items())
    ]
    return Docs(pa.RecordBatch.from_pylist(rows, schema=DOCUMENT_SCHEMA))


@contextmanager
def nothing_to_complain_of() -> Iterator[None]:
    with warnings.catch_warnings(), np.errstate(divide="raise", invalid="raise", over="raise"):
        warnings.simplefilter("error")
        yield


def judged(step: RowStep, docs: Docs) -> FilterResult:
    """The verdict, checked for its form."""
    with nothing_to_complain_of():
        verdict = step.filter(docs)
    assert verdict.keep.dtype == np.bool_
    assert verdict.keep.shape == (len(docs),)
    if not isinstance(verdict.reason, str):
        assert len(verdict.reason) == len(docs)
    assert all(reason for reason in reasons(verdict) if reason is not None)
    for values in [*verdict.signals.values(), *verdict.columns.values()]:
        assert len(values) == len(docs)
    assert set(verdict.columns) == set(step.adds())
    if verdict.text is not None:
        verdict.text.validate(full=True)
        assert (verdict.text.type, len(verdict.text)) == (pa.large_string(), len(docs))
        assert verdict.text.null_count == 0
    return verdict


def reasons(verdict: FilterResult) -> list[str | None]:
    """Why each row goes; None for those that stay."""
    rows = len(verdict.keep)
    given = [verdict.reason] * rows if isinstance(verdict.reason, str) else list(verdict.reason)
    return [None if keep else why for keep, why in zip(verdict.keep, given, strict=True)]


def rows_of(verdict: FilterResult, docs: Docs) -> list[tuple[Any, ...]]:
    """All that is said of each document, comparable (NaN equals itself)."""
    text = docs.text if verdict.text is None else verdict.text
    parts = {**verdict.signals, **verdict.columns}
    lists = [pa.array(values).to_pylist() for values in parts.values()]
    said = [reasons(verdict), text.to_pylist(), *lists]
    return [tuple("NaN" if v != v else v for v in row) for row in zip(*said, strict=True)]


@pytest.mark.parametrize(("name", "more"), cases())
def test_every_small_text_gets_a_verdict_that_others_do_not_change(
    name: str, more: dict[str, Any], folder: Path
) -> None:
    step, docs = made(name, more, folder), docs_of(SMALL)
    together = rows_of(judged(step, docs), docs)
    for row in range(len(docs)):
        alone = Docs(docs.batch.slice(row, 1))
        assert rows_of(judged(step, alone), alone) == [together[row]], docs.column("id")[row]
    empty = Docs(docs.batch.slice(0, 0))
    assert rows_of(judged(step, empty), empty) == []


@pytest.mark.parametrize(("name", "more"), cases())
def test_every_large_text_gets_a_verdict_in_linear_time(
    name: str, more: dict[str, Any], folder: Path
) -> None:
    step, docs = made(name, more, folder), docs_of(LARGE)
    judged(step, docs_of({"so that all is compiled": "".join(SMALL.values())}))
    before = time.process_time()
    together = judged(step, docs)
    # 20 MB; what is quadratic in a document takes hours.
    assert time.process_time() - before < 30
    half = len(docs) // 2
    parts = [Docs(docs.batch.slice(0, half)), Docs(docs.batch.slice(half))]
    assert [why for part in parts for why in reasons(judged(step, part))] == reasons(together)


@pytest.mark.parametrize(("name", "more"), cases(ThresholdFilter))
def test_measuring_and_judging_agree(name: str, more: dict[str, Any], folder: Path) -> None:
    step, docs = made(name, more, folder), docs_of(SMALL)
    assert isinstance(step, ThresholdFilter)
    with nothing_to_complain_of():
        signals = step.measure(docs)
    decided, verdict = step.apply(signals), judged(step, docs)
    assert reasons(decided) == reasons(verdict)
    for rule in step.rules():
        values = np.asarray(signals[rule.signal])
        for row in np.flatnonzero(verdict.keep & np.isnan(values)).tolist():
            because = MAY_BE_NAN.get((name, rule.signal), set())
            assert because & more.keys(), f"{docs.column('id')[row]} stays without {rule.signal}"


@pytest.mark.slow
@pytest.mark.parametrize("name", row_steps())
def test_a_line_of_100_megabytes_takes_memory_in_proportion(name: str, folder: Path) -> None:
    """Four times what readers let through at most."""
    sentence = "The quick brown fox jumps over. It is. "
    step = made(name, {}, folder)
    judged(step, docs_of({"so that all is compiled": sentence * 100}))
    docs = docs_of({"long": sentence * (100 * MEGABYTE // len(sentence))})
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory("VmHWM")
    judged(step, docs)
    assert memory("VmHWM") - before < 15 * 100 * MEGABYTE


def memory(field: str) -> int:
    """A field of this process's status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (size,) = [line.split()[1] for line in lines if line.startswith(field + ":")]
    return int(size) * 1024


# Step → parameters of which one names a file that is not there; all in one line of the manifest.
MISSING = {
    "c4_badwords": ("lists: {en: gone.txt}", "gone.txt", "no-file"),
    "datatrove": ("block: RegexFilter, regex_exp: {file: gone.txt}", "gone.txt", "no-file"),
    "decontaminate": ("evaluations: {set: gone.jsonl}", "gone.jsonl", "no-evaluation-file"),
    "language": ("model: gone.bin", "gone.bin", "no-file"),
    "score": ("students: {grade: gone}", "gone", "no-student"),
    "stop_list": ("file: gone.txt", "gone.txt", "no-file"),
    "token_length": ("max_tokens: 9, tokenizer: gone.json", "gone.json", "no-file"),
    "url": ("banned_words: gone.txt", "gone.txt", "no-file"),
}


def test_every_step_that_names_files_is_tried_without_them() -> None:
    naming = {name for name in row_steps() if issubclass(registry.step(name), NamesFiles)}
    assert naming == set(MISSING)


def test_missing_files_are_named_by_line_and_column_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    head = "sources: {a: {format: jsonl, paths: a.jsonl}}\nsteps:\n"
    steps = [f"  - {name}: {{{given}}}" for name, (given, _, _) in MISSING.items()]
    (tmp_path / "m.yaml").write_text(head + "\n".join(steps) + "\n")
    for command in ("validate", "run"):
        done = winnow(command, "m.yaml", cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        found = [line for line in done.stderr.splitlines() if line.startswith("m.yaml:")]
        expected = [
            (f"m.yaml:{3 + number}:{1 + line.index(value)} {code}", value)
            for number, (line, (_, value, code)) in enumerate(
                zip(steps, MISSING.values(), strict=True)
            )
        ]
        assert len(found) == len(expected), done.stderr
        for shown, (start, value) in zip(found, expected, strict=True):
            assert shown.startswith(start), (shown, start)
            assert f"'{value}'" in shown
    assert not (tmp_path / "runs").exists()
