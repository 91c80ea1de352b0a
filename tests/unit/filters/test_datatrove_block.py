"""Blocks of datatrove's decide and edit as a step as they do in datatrove's own pipeline."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import huggingface_hub.utils._cache_assets as cached_assets
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from datatrove.pipeline import extractors, filters, formatters
from datatrove_runs import run_in_datatrove
from fastwarc.warc import ArchiveIterator, WarcRecordType
from small_runs import load
from tldextract import TLDExtract

from filters.datatrove_block import DatatroveBlock
from pipeline.documents import Docs
from pipeline.engine.run import run
from pipeline.errors import ManifestError, Refusal, ShardError
from pipeline.tuning.signals import Measure
from winnow import ManifestView
from winnow.testing import StepRun, assert_accounted, assert_same_when_split, run_row_step, warm_up
from winnow.testing import documents as documents_of

Rows = Sequence[Mapping[str, Any]]

URLS = ["https://example.org/a/page", "https://bad.example.com/x", "http://other.com/casino-now"]
FUNCTIONS = """
from helper_of_blocks import LEAST


def long_enough(doc):
    return len(doc.text) >= LEAST, "short"
"""
BLOCKS = '''
from datatrove.pipeline.extractors.base import BaseExtractor
from datatrove.pipeline.filters.base_filter import BaseFilter


class Halves(BaseFilter):
    """Drops every second document."""

    def __init__(self):
        super().__init__()
        self.seen = 0

    def filter(self, doc):
        self.seen += 1
        return self.seen % 2 == 0


class Measured(BaseFilter):
    def __init__(self, batch_size: int = 1):
        super().__init__(batch_size=batch_size)

    def filter_batch(self, batch):
        return [self.filter(doc) for doc in batch]

    def filter(self, doc):
        doc.metadata["words"] = len(doc.text.split())
        doc.metadata["first"] = doc.text[:1]
        doc.metadata["language"] = "xx"
        return 100 % doc.metadata["words"] != 1
'''


@pytest.fixture(scope="module")
def rows(shared_data: Path) -> Rows:
    """Documents of every domain, with URLs and metadata."""
    found: list[dict[str, Any]] = []
    for path in sorted((shared_data / "domains").glob("*.jsonl.zst")):
        with path.open("rb") as raw:
            lines = io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw))
            for _ in range(6):
                text = orjson.loads(next(lines))["text"][:6_000]
                number = len(found)
                found.append({"id": f"{path.name}/{number}", "text": text, "n": number})
                found[-1]["url"] = URLS[number % len(URLS)]
    prose = "Text of a man, mail me@example.com or him@example.org, from 8.8.8.8.\n***\nIt’s fine."
    found.append({"id": "pii", "text": prose, "url": URLS[0], "nested": {"a": [1]}})
    found.append({"id": "broken", "text": "naÃ¯ve cafÃ© &amp; âœ” more", "url": URLS[0]})
    return found


@pytest.fixture(scope="module")
def pages(shared_data: Path) -> Rows:
    """Web pages as they came from servers."""
    found = []
    with (shared_data / "web" / "pages-00000.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            html = record.reader.read().decode("utf-8", errors="replace").replace("\x00", "")
            if html.strip() and len(html) < 100_000:
                found.append({"id": f"page{len(found)}", "text": html})
            if len(found) == 25:
                return found
    return found


def documents(rows: Rows) -> list[dict[str, Any]]:
    """Rows as winnow's readers give them: fields without a column are metadata."""
    own = ("id", "text", "url", "language")
    made = []
    for row in rows:
        rest = {key: value for key, value in row.items() if key not in own}
        made.append({k: v for k, v in row.items() if k in own})
        made[-1]["metadata"] = json.dumps(rest) if rest else None
    return made


def ours(rows: Rows, folder: Path = Path(), **parameters: Any) -> StepRun:
    return run_row_step(step(folder, **parameters), documents(rows))


def step(folder: Path = Path(), **parameters: Any) -> DatatroveBlock:
    made = DatatroveBlock(**parameters)
    assert list(made.check(ManifestView(folder, 0, ("web",)))) == []
    return made


def require_same(ours: StepRun, theirs: Any, block: str, extracts: bool = False) -> None:
    """Equal decisions, reasons, texts and metadata."""
    assert ours.kept == list(theirs.kept)
    assert {key: ours.texts[key] for key in ours.kept} == theirs.kept
    if not extracts:
        found = {key: found["reason"] for key, found in ours.dropped.items()}
        assert found == {key: reason or block for key, reason in theirs.reasons.items()}
    for key in ours.kept:
        columns = ours.columns[key]
        fields = json.loads(columns["metadata"] or "{}")
        fields |= {n: columns[n] for n in ("url", "language") if columns[n] is not None}
        assert fields == theirs.metadata[key]


LISTS = {"extra_domains": ["example.com"], "banned_words": ["casino"]}
REAL: dict[str, tuple[Any, dict[str, Any], range]] = {
    # name: class, arguments, how many documents of 56 may stay
    "GopherRepetitionFilter": (filters.GopherRepetitionFilter, {}, range(5, 50)),
    "GopherQualityFilter": (filters.GopherQualityFilter, {"min_stop_words": 3}, range(5, 50)),
    "C4QualityFilter": (filters.C4QualityFilter, {"min_num_sentences": 3}, range(5, 50)),
    "C4ParagraphFilter": (filters.C4ParagraphFilter, {}, range(5, 50)),
    "FineWebQualityFilter": (filters.FineWebQualityFilter, {"new_line_ratio": 0.2}, range(5, 50)),
    "RegexFilter": (filters.RegexFilter, {"regex_exp": r"\bman\b"}, range(5, 55)),
    "URLFilter": (filters.URLFilter, {**LISTS, "use_integrated_lists": False}, range(5, 50)),
    "UnigramLogProbFilter": (
        filters.UnigramLogProbFilter,
        {"logprobs_threshold": -17},
        range(5, 50),
    ),
    "FTFYFormatter": (formatters.FTFYFormatter, {"uncurl_quotes": True}, range(56, 57)),
    "PIIFormatter": (
        formatters.PIIFormatter,
        {"email_replacement": "<MAIL>", "ip_replacement": "<IP>"},
        range(56, 57),
    ),
    "SymbolLinesFormatter": (
        formatters.SymbolLinesFormatter,
        {"symbols_to_remove": ["*"]},
        range(56, 57),
    ),
}


@pytest.fixture
def _word_frequencies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table that UnigramLogProbFilter downloads, where it looks for it."""
    folder = tmp_path / "assets" / "datatrove" / "filters" / "unigram_logprob_filter"
    folder.mkdir(parents=True)
    words = ["the", "of", "and", "to", "a", "in", "is", ".", "was", "for", "it"]
    lines = [f"{word},{10_000 // n}" for n, word in enumerate(words, 1)]
    (folder / "unigram_freq.csv").write_text("\n".join(["word,count", *lines]))
    monkeypatch.setattr(cached_assets, "HF_ASSETS_CACHE", str(tmp_path / "assets"))


@pytest.mark.usefixtures("_word_frequencies")
@pytest.mark.parametrize("name", REAL)
def test_decisions_texts_and_metadata_are_those_of_datatroves_pipeline(
    name: str, rows: Rows, tmp_path: Path
) -> None:
    kind, arguments, kept = REAL[name]
    block = kind(**arguments)
    if name == "URLFilter":
        block.tldextractor = TLDExtract(cache_dir=None, suffix_list_urls=())
    theirs = run_in_datatrove(block, rows, tmp_path)
    found = ours(rows, block=name, **arguments)
    require_same(found, theirs, name)
    assert len(found.kept) in kept
    if issubclass(kind, formatters.base.BaseFormatter):
        assert any(found.texts[row["id"]] != row["text"] for row in rows)


def test_a_function_of_ones_own_decides_as_in_datatroves_pipeline(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "helper_of_blocks.py").write_text("LEAST = 3_000\n")
    (tmp_path / "own.py").write_text(FUNCTIONS)
    theirs = run_in_datatrove(
        filters.LambdaFilter(lambda doc: (len(doc.text) >= 3_000, "short")), rows, tmp_path
    )
    parameters = {"block": "LambdaFilter", "filter_function": "own.py:long_enough"}
    found = ours(rows, tmp_path, **parameters)
    require_same(found, theirs, "LambdaFilter")
    assert 5 < len(found.kept) < 50
    contents = step(tmp_path, **parameters).model_dump(mode="json")["contents"]
    assert sorted(contents) == [
        "code of helper_of_blocks.py",
        "code of own.py",
        "version of datatrove",
    ]


def test_pages_are_extracted_as_in_datatroves_pipeline(pages: Rows, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {"deduplicate": False, "timeout": 30}
    theirs = run_in_datatrove(extractors.Trafilatura(**arguments), pages, tmp_path)
    found = ours(pages, block="Trafilatura", **arguments)
    require_same(found, theirs, "Trafilatura", extracts=True)
    assert len(found.kept) > 10
    assert {gone["reason"] for gone in found.dropped.values()} <= {"empty"}


def test_every_document_is_accounted_for_however_the_corpus_is_cut(rows: Rows) -> None:
    given = documents(rows)[::5]
    for parameters in (
        {"block": "GopherQualityFilter"},
        {"block": "C4QualityFilter"},
        {"block": "PIIFormatter", "email_replacement": "<MAIL>", "ip_replacement": "<IP>"},
    ):
        assert_accounted(step(**parameters), given)
        assert_same_when_split(step(**parameters), given)


def test_what_a_block_writes_becomes_columns_metadata_and_signals(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BLOCKS)
    given = [{"text": "one two"}, {"text": "one two three", "metadata": '{"a": 1}'}]
    made = step(tmp_path, block="own.py:Measured", columns={"words": "integer"})
    ran = run_row_step(made, given)
    assert ran.kept == ["d0"]
    assert ran.columns["d0"] == {
        "url": None,
        "language": "xx",
        "metadata": '{"words":2,"first":"o"}',
        "words": 2,
    }
    assert ran.dropped["d1"] == {
        "reason": "Measured",
        "words": 3.0,
        "first": "o",
        "language": "xx",
    }


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_a_filter_that_raises_fails_the_shard_or_drops_the_document(
    tmp_path: Path, batch_size: int
) -> None:
    (tmp_path / "own.py").write_text(BLOCKS)
    given = ["one two", " ", "one two three"]
    parameters: dict[str, Any] = {"block": "own.py:Measured", "batch_size": batch_size}
    with pytest.raises(ShardError, match=r"ZeroDivisionError.* on document 'd1'"):
        run_row_step(step(tmp_path, **parameters), given)
    ran = run_row_step(step(tmp_path, **parameters, on_error="drop"), given)
    assert ran.kept == ["d0"]
    assert ran.dropped["d1"]["reason"] == "error"
    assert "ZeroDivisionError" in ran.dropped["d1"]["error"]


def test_a_block_that_remembers_documents_is_found_out(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BLOCKS)
    with pytest.raises(ShardError, match="Halves gave another result when asked again") as caught:
        run_row_step(step(tmp_path, block="own.py:Halves"), ["a", "b", "c"])
    assert caught.value.code == "depends-on-order"


def test_a_file_that_is_edited_during_a_run_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BLOCKS)
    made = step(tmp_path, block="own.py:Measured")
    (tmp_path / "own.py").write_text(BLOCKS.replace("100 %", "200 %"))
    with pytest.raises(Refusal, match="Measured was edited during the run") as caught:
        run_row_step(made, ["one two"])
    assert caught.value.code == "block-changed"


def test_a_step_follows_the_versions_code_and_files_that_decide(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BLOCKS)
    model = tmp_path / "words.txt"
    model.write_text("a")

    def contents(**parameters: Any) -> dict[str, str]:
        found: dict[str, str] = step(tmp_path, **parameters).model_dump(mode="json")["contents"]
        return found

    assert contents(block="GopherQualityFilter") == {"version of datatrove": "0.10.1"}
    assert "version of trafilatura" in contents(block="Trafilatura", deduplicate=False)
    before = contents(block="own.py:Measured")
    (tmp_path / "own.py").write_text("# a remark\n" + BLOCKS)
    assert contents(block="own.py:Measured") == before
    (tmp_path / "own.py").write_text(BLOCKS.replace("100 %", "200 %"))
    assert contents(block="own.py:Measured") != before
    named: dict[str, Any] = {"block": "RegexFilter", "regex_exp": {"file": "words.txt"}}
    before = contents(**named)
    model.write_text("b")
    assert set(contents(**named)) == {"version of datatrove", "regex_exp.file"}
    assert contents(**named) != before


def test_a_folder_counts_with_every_file_in_it(tmp_path: Path) -> None:
    index = tmp_path / "index"
    index.mkdir()
    (index / "task.index.hashes").write_bytes(b"")
    named: dict[str, Any] = {"block": "datatrove.pipeline.decont:NGramsDecontFilter"}
    made = step(tmp_path, **named, index_folder={"folder": "index"})
    assert run_row_step(made, ["a text"]).kept == ["d0"]
    before = made.model_dump(mode="json")["contents"]
    assert "index_folder.folder.task.index.hashes" in before
    (index / "more.index.hashes").write_bytes(b"")
    assert set(made.model_dump(mode="json")["contents"]) > set(before)


def test_it_is_warmed_up_by_a_document_that_it_may_not_be_able_to_take(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "def with_author(doc):\n    return doc.metadata['author'] != ''\n"
    )
    warm_up([step(block="C4QualityFilter")])
    warm_up([step(tmp_path, block="LambdaFilter", filter_function="own.py:with_author")])


MANIFEST = """\
sources: {{a: {{format: jsonl, paths: a*.jsonl, pack_bytes: 0}}}}
output: out
executor: {{workers: {workers}}}
steps:
  - datatrove: {{block: RegexFilter, regex_exp: "(word ){{5}}"}}
  - datatrove: {{block: Trafilatura, deduplicate: false, timeout: 20}}
  - datatrove: {{block: own.py:Measured, batch_size: 3, columns: {{words: integer}}}}
"""


def test_a_run_gives_the_same_bytes_with_any_number_of_shards_and_workers(tmp_path: Path) -> None:
    rows = [
        {
            "id": f"i{n}",
            "text": f"<html><body><p>Some {'word ' * (n % 5 + 1)}is {n}.</p></body></html>",
        }
        for n in range(12)
    ]
    found = []
    for workers, shards in ((1, 1), (2, 3)):
        folder = tmp_path / f"{shards}"
        folder.mkdir()
        (folder / "own.py").write_text(BLOCKS)
        (folder / "m.yaml").write_text(MANIFEST.format(workers=workers))
        size = len(rows) // shards
        for number in range(shards):
            part = rows[number * size : (number + 1) * size]
            lines = [json.dumps(row) + "\n" for row in part]
            (folder / f"a{number}.jsonl").write_text("".join(lines))
        results = run(load(folder / "m.yaml"))
        stage = results.stages[0]
        assert stage.counts.rows == 12
        kept = [pq.read_table(path) for path in sorted((folder / "out/corpus/a").glob("*.parquet"))]
        table = pa.concat_tables(kept).drop_columns(["_source", "_offset"]).sort_by("id")
        found.append((table.to_pylist(), stage.counts.dropped))
    assert found[0] == found[1]
    assert 0 < len(found[0][0]) < 12


WRONG = {
    # parameters: where the mistake is, and what is said of it
    "block: GopherQualtyFilter": (
        "GopherQualtyFilter",
        "unknown-block datatrove has no filter, extractor or formatter 'GopherQualtyFilter' "
        "(did you mean 'GopherQualityFilter'? for others write module:Class)",
    ),
    "block: FineWebQualityFilter, line_punct_tr: 0.1": (
        "line_punct_tr",
        "unknown-argument FineWebQualityFilter has no argument 'line_punct_tr' "
        "(did you mean 'line_punct_thr'? FineWebQualityFilter(line_punct_thr: float = 0.12",
    ),
    "block: FineWebQualityFilter, new_line_ratio: much": (
        "much",
        "wrong-type new_line_ratio must be a number, not 'much' (FineWebQualityFilter(",
    ),
    "block: URLFilter, extra_domains: example.org": (
        "example.org",
        "wrong-type extra_domains must be a list, not 'example.org' (URLFilter(",
    ),
    "block: RegexFilter": (
        "RegexFilter",
        "missing-argument RegexFilter needs an argument 'regex_exp' (RegexFilter(regex_exp: str))",
    ),
    'block: RegexFilter, regex_exp: "("': (
        "RegexFilter",
        "block-failed RegexFilter cannot be made: error: missing ), unterminated subpattern",
    ),
    "block: C4QualityFilter, exclusion_writer: dropped": (
        "exclusion_writer",
        "exclusion-writer 'exclusion_writer' is not for a step",
    ),
    "block: SamplerFilter, rate: 0.5": (
        "SamplerFilter",
        "depends-on-order SamplerFilter decides by the documents that came before "
        "(use the step sampler",
    ),
    "block: PIIFormatter": (
        "PIIFormatter",
        "depends-on-order PIIFormatter decides by the documents that came before "
        "(give one email_replacement and one ip_replacement, or use the step pii)",
    ),
    "block: Trafilatura": ("Trafilatura", "depends-on-order Trafilatura decides by the documents"),
    "block: JsonlReader": (
        "JsonlReader",
        "not-a-filter JsonlReader is neither a filter nor an extractor nor a formatter "
        "(sources read documents",
    ),
    'block: "datatrove.pipeline.stats:DocStats"': (
        '"datatrove.pipeline.stats:DocStats"',
        "not-a-filter DocStats is neither a filter nor an extractor nor a formatter "
        "(use winnow measure",
    ),
    "block: RegexFilter, regex_exp: m.yaml": (
        "m.yaml",
        "plain-path regex_exp names a file, and its content would not count: 'm.yaml' "
        "(write regex_exp: {file: m.yaml})",
    ),
    "block: RegexFilter, regex_exp: {file: gone.txt}": (
        "gone.txt",
        "no-file there is no file 'gone.txt' (paths begin at the manifest's folder)",
    ),
    "block: RegexFilter, regex_exp: x, columns: {url: text}": (
        "url",
        "column-exists what a block writes into 'url' is in that column anyway",
    ),
    "block: RegexFilter, regex_exp: x, columns: {n: float}": (
        "float",
        "not-allowed n must be 'number', 'integer', 'boolean' or 'text', not 'float'",
    ),
    "min_doc_words: 3": ("datatrove", "missing-field datatrove needs 'block'"),
}


@pytest.mark.parametrize("parameters", WRONG)
def test_mistakes_are_found_before_anything_runs(parameters: str, tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    line = f"  - datatrove: {{{parameters}}}"
    path.write_text(f"sources: {{a: {{format: jsonl, paths: a.jsonl}}}}\nsteps:\n{line}\n")
    (tmp_path / "a.jsonl").write_text("{}")
    with pytest.raises(ManifestError) as caught:
        load(path)
    (problem,) = caught.value.problems
    word, expected = WRONG[parameters]
    assert expected in f"{problem.code} {problem.message} ({problem.hint})"
    assert problem.line == 3
    assert line[problem.column - 1 :].startswith(word)


def test_a_measurement_holds_what_a_block_wrote_and_would_drop(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(BLOCKS)
    measure = Measure(steps=(("datatrove", step(tmp_path, block="own.py:Measured")),))
    batch = documents_of(["one two", "one two three"])
    measured = measure.filter(Docs(batch)).columns
    assert measured["datatrove.reason"].to_pylist() == ["", "Measured"]
    assert measured["datatrove.words"].to_pylist() == [2, 3]
