"""URLs are judged as datatrove judges them, for the same reason."""

from __future__ import annotations

import io
import pickle
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datatrove.data import Document
from datatrove.pipeline.filters import URLFilter
from datatrove.pipeline.filters.url_filter import get_list
from fastwarc.warc import ArchiveIterator
from hypothesis import given, settings
from hypothesis import strategies as st
from needs import need
from pydantic import ValidationError
from tldextract import TLDExtract

from filters.url import WORD_LISTS, UrlFilter
from filters.url_lists import ARCHIVE, archived
from pipeline.documents import Docs
from pipeline.errors import Problem
from pipeline.named_files import packaged
from pipeline.step import ManifestView
from winnow.testing import warm_up

pytestmark = pytest.mark.filterwarnings(
    "ignore:The 'registered_domain' property:DeprecationWarning"
)

LISTS: dict[str, Any] = {
    "extra_domains": [
        "bad.com",
        "Sub.fine.co.uk",
        "# none.org",
        " padded.de ",
        "käse.de",
        "1.2.3.4",
    ],
    "extra_urls": ["http://fine.com/page", "fine.com/other", "HTTP://x.com"],
    "banned_words": ["casino", "Two words", "18plus", "#commented"],
    "soft_banned_words": ["soft", "mild", "tame", "soft"],
    "banned_subwords": ["verybad", "x-rated", "ab", "abc"],
}
OWN: dict[str, Any] = {"use_integrated_lists": False, **LISTS}

SCHEMES = ["http://", "https://", "//", "", "://", "ftp:", "a+b.c-1://", "a_b://", "http:/", "::"]
USERS = ["", "me@", "me:secret@", "a@b@", "@", "[::1]@"]
HOSTS = ["bad.com", "www.bad.com", "BAD.com", "sub.fine.co.uk", "Sub.fine.co.uk", "fine.com"]
HOSTS += ["padded.de", "none.org", "1.2.3.4", "[::1]", "[::1", "localhost", "com", "co.uk", ""]
HOSTS += [
    "xn--kse-qla.de",
    "käse.de",
    "bad。com",
    "bad.com.",
    "a..b",
    "x.ck",
    "www.ck",
    "xn--",
    ".",
]
PORTS = ["", ":80", ":", ":x:y", " "]
PATHS = ["", "/", "/page", "/casino", "/soft/MILD-tame", "/mild_tame?soft", "#tame", "/two words"]
PATHS += ["?very=bad", "/x.RATED", "/18Plus/18plus", "/a/b", "/ä b", "//bad.com", "\n/page", "\0"]

urls = st.one_of(
    st.tuples(
        *(st.sampled_from(parts) for parts in (SCHEMES, USERS, HOSTS, PORTS, PATHS, PATHS))
    ).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    st.text("xn-ab01.:/@[]。", max_size=25),
    st.sampled_from([entry for entries in LISTS.values() for entry in entries]),
)


# What datatrove's own falls back to when no server answers.
SPLIT = TLDExtract(cache_dir=None, suffix_list_urls=())


@pytest.fixture(scope="module", autouse=True)
def _datatrove_without_locks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(URLFilter, "_requires_dependencies", [])
        yield


def docs_of(rows: list[str | None]) -> Docs:
    return Docs(pa.record_batch({"url": pa.array(rows, pa.large_string())}))


def ours(step: UrlFilter, rows: list[str | None]) -> list[str]:
    verdict = step.filter(docs_of(rows))
    return ["" if k else r for k, r in zip(verdict.keep, verdict.reason, strict=True)]


def oracle(**parameters: Any) -> URLFilter:
    judge = URLFilter(**parameters)
    judge.tldextractor = SPLIT
    return judge


def theirs(judge: URLFilter, rows: list[str]) -> list[str]:
    found = []
    for row in rows:
        if not row:  # an assertion fails
            found.append("")
            continue
        verdict = judge.filter(Document(text="", id="", metadata={"url": row}))
        found.append("" if verdict is True else verdict[1])
    return found


@settings(max_examples=150)
@given(rows=st.lists(urls, max_size=6), threshold=st.sampled_from([1, 2, 3]))
def test_any_url_gets_the_verdict_of_datatrove(rows: list[str], threshold: int) -> None:
    parameters = {**OWN, "soft_word_threshold": threshold}
    assert ours(UrlFilter(**parameters), rows) == theirs(oracle(**parameters), rows)


entries = st.lists(st.text("aB1-_ #.é", min_size=1, max_size=5), min_size=1, max_size=5)


@settings(max_examples=60)
@given(
    rows=st.lists(st.text("aB1-_ .é/", max_size=12), max_size=4),
    lists=st.fixed_dictionaries({}, optional=dict.fromkeys(LISTS, entries)),
)
def test_any_lists_give_the_verdict_of_datatrove(rows: list[str], lists: dict[str, Any]) -> None:
    parameters = {"use_integrated_lists": False, **lists}
    judge = oracle(**parameters)
    # An entry of which nothing is left is one to datatrove: see the test of empty lines.
    for name in ("block_listed_domains", "block_listed_url", *WORD_LISTS):
        getattr(judge, name).discard("")
    assert ours(UrlFilter(**parameters), rows) == theirs(judge, rows)


@pytest.fixture(scope="module")
def with_lists(tmp_path_factory: pytest.TempPathFactory) -> URLFilter:
    """datatrove's filter with its lists, which it would unpack into the user's home."""
    assets = packaged("datatrove", "assets")
    need("datatrove's lists", assets is not None and (assets / ARCHIVE).is_file())
    assert assets is not None
    folder = tmp_path_factory.mktemp("lists")
    for name, raw in archived(assets / ARCHIVE).items():
        (folder / name).write_bytes(raw)
    judge = oracle()
    judge._downloaded = True
    judge.block_listed_domains = get_list(str(folder), "domains", set(), do_normalize=False)
    judge.block_listed_url = get_list(str(folder), "urls", set(), do_normalize=False)
    for name in ("banned_words", "banned_subwords", "soft_banned_words"):
        setattr(judge, name, get_list(str(assets), f"{name}.txt", set()))
    for number, word in enumerate(judge.banned_subwords):
        judge.banned_subwords_automaton.add_word(word, number)
    judge.banned_subwords_automaton.make_automaton()
    return judge


def some_lines(raw: bytes, count: int) -> list[str]:
    """Lines from all over a long list."""
    places = range(len(raw) // count, len(raw) - 1_000, len(raw) // count)
    cuts = [(raw.rindex(b"\n", 0, at) + 1, raw.index(b"\n", at)) for at in places]
    return [raw[start:end].decode() for start, end in cuts]


def test_urls_made_of_listed_entries_get_the_verdict_of_datatrove(with_lists: URLFilter) -> None:
    step = UrlFilter()
    long = archived(step.files()["use_integrated_lists", ARCHIVE])
    domains, listed = some_lines(long["domains"], 2_000), some_lines(long["urls"], 600)
    words = [*with_lists.banned_words, *with_lists.soft_banned_words, *with_lists.banned_subwords]
    rows = [f"https://{domain}/page" for domain in domains]
    rows += [f"http://www.{domain.upper()}" for domain in domains[::2]]
    rows += [f"http://a.b.{domain}:80/?x#y" for domain in domains[::2]]
    rows += [f"http://not{domain}x" for domain in domains[::2]]
    rows += [*listed, *(f"http://{url}" for url in listed), *(f"{url}x" for url in listed)]
    rows += [f"http://example.org/{word}/{other}" for word, other in pairwise(words)]
    rows += [f"http://example.org/x{word}-{i}" for i, word in enumerate(words)]
    found = ours(step, rows)
    assert found == theirs(with_lists, rows)
    assert set(Counter(found)) == {
        *("", "domain", "subdomain", "url"),
        *("hard_blacklisted", "soft_blacklisted", "blacklisted_subword"),
    }


def test_urls_of_real_pages_get_the_verdict_of_datatrove(
    with_lists: URLFilter, shared_data: Path
) -> None:
    rows = []
    for path in sorted((shared_data / "web").glob("pages-*.warc.gz")):
        with path.open("rb") as raw:
            for record in ArchiveIterator(io.BufferedReader(raw), parse_http=False):
                rows.append(record.headers.get("WARC-Target-URI", ""))
    assert len(rows) >= 420
    assert ours(UrlFilter(), rows) == theirs(with_lists, rows)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://fine.com/", ""),
        ("https://www.bad.com/x", "domain"),
        ("https://BAD.com/x", ""),
        ("me:secret@bad.com:80", "domain"),
        ("http://a.sub.fine.co.uk", ""),
        ("http://Sub.fine.co.uk", "subdomain"),
        ("http://padded.de", "domain"),
        ("http://none.org", ""),
        ("http://1.2.3.4/", ""),
        ("http://fine.com/page", "url"),
        ("http://fine.com/page/", ""),
        ("http://fine.com/casino/1", "hard_blacklisted"),
        ("http://fine.com/Casino/1", ""),
        ("http://fine.com/twowords", "hard_blacklisted"),
        ("http://fine.com/soft/soft", ""),
        ("http://fine.com/soft/mild", "soft_blacklisted"),
        ("http://fine.com/softmild", ""),
        ("http://fine.com/xr-ATED", "blacklisted_subword"),
        ("http://fine.com/ver/y/bad", "blacklisted_subword"),
        ("", ""),
        (" ", ""),
        ("\0", ""),
        ("//", ""),
        ("שלום.com/עולם", ""),
        ("http://[::1", ""),
        ("http://xn--a.com", ""),
        ("a" * 100_000 + ".com/" + "b" * 1_000_000, ""),
        ("http://bad.com/" + "word/" * 200_000, "domain"),
    ],
)
def test_each_reason(url: str, reason: str) -> None:
    assert ours(UrlFilter(**OWN), [url]) == [reason] == theirs(oracle(**OWN), [url])


def test_documents_without_a_url_stay_unless_one_is_required() -> None:
    rows = [None, "", "http://fine.com"]
    assert ours(UrlFilter(**OWN), rows) == ["", "", ""]
    assert ours(UrlFilter(**OWN, require_url=True), rows) == ["no_url", "no_url", ""]


def test_an_empty_line_in_a_list_is_no_entry() -> None:
    for name in LISTS:
        step = UrlFilter(use_integrated_lists=False, **{name: ["", " ", "-", "\n"]})
        assert ours(step, ["http://1.2.3.4/", "http://localhost", "http://a.com/-"]) == ["", "", ""]


def test_no_documents_give_no_verdicts() -> None:
    verdict = UrlFilter(**OWN).filter(docs_of([]))
    assert verdict.keep.tolist() == []
    assert all(len(values) == 0 for values in verdict.signals.values())


def test_signals_are_measured_for_kept_and_dropped_documents() -> None:
    rows = ["http://www.bad.com/soft/casino/soft-mild?18plus", None, "http://a.com/soft"]
    verdict = UrlFilter(**OWN).filter(docs_of(rows))
    assert verdict.keep.tolist() == [False, True, True]
    assert {name: np.asarray(values).tolist() for name, values in verdict.signals.items()} == {
        "has_url": [1, 0, 1],
        "domain_listed": [1, 0, 0],
        "subdomain_listed": [0, 0, 0],
        "url_listed": [0, 0, 0],
        "banned_words": [2, 0, 0],
        "soft_banned_words": [2, 0, 1],
        "banned_subwords": [0, 0, 0],
    }


def test_what_is_known_of_hosts_is_forgotten_when_it_is_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("filters.url.MAX_HOSTS", 2)
    step = UrlFilter(**OWN)
    rows = [f"http://a{i}.com" for i in range(9)]
    for _ in range(3):
        assert ours(step, [*rows, "http://bad.com"]) == [""] * 9 + ["domain"]
    assert len(step._matcher()._known) <= 10


def problems(step: UrlFilter, folder: Path) -> list[Problem]:
    return list(step.check(ManifestView(folder, 0, ("web",))))


def test_lists_may_be_files_beside_the_manifest(tmp_path: Path) -> None:
    given: dict[str, Any] = {"use_integrated_lists": False}
    for name, values in LISTS.items():
        (tmp_path / f"{name}.txt").write_text("\r\n".join(values), encoding="utf-8")
        given[name] = f"{name}.txt"
    step = UrlFilter(**given)
    assert problems(step, tmp_path) == []
    rows = [f"http://{host}{path}" for host in HOSTS for path in PATHS]
    sent = pickle.loads(pickle.dumps(step))  # noqa: S301 - what a worker is given
    warm_up([sent])
    assert ours(sent, rows) == ours(UrlFilter(**OWN), rows)
    assert "domain" in ours(sent, rows)


def test_an_edited_list_is_another_step_and_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "domains.txt"
    path.write_text("bad.com\n")
    step = UrlFilter(use_integrated_lists=False, extra_domains="domains.txt")
    assert problems(step, tmp_path) == []
    before = step.model_dump(mode="json")
    assert ours(step, ["http://worse.com"]) == [""]
    path.write_text("bad.com\nworse.com\n")
    assert ours(step, ["http://worse.com"]) == ["domain"]
    assert step.model_dump(mode="json") != before


def test_a_missing_list_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "there.txt").write_text("a\n")
    step = UrlFilter(banned_words="there.txt", extra_urls="lists/gone.txt")
    (problem,) = problems(step, tmp_path)
    assert problem.path == ("extra_urls",)
    assert problem.code == "no-file"
    assert "'lists/gone.txt'" in problem.message


def test_a_list_that_is_not_utf_8_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes("käse.de\n".encode("latin-1"))
    step = UrlFilter(use_integrated_lists=False, extra_domains="latin.txt")
    (problem,) = problems(step, tmp_path)
    assert (problem.path, problem.code) == (("extra_domains",), "not-utf8")
    assert "byte 1" in problem.message


def test_lists_that_are_not_installed_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filters.url.PACKAGE", "no_such_package")
    found = problems(UrlFilter(), tmp_path)
    assert {problem.code for problem in found} == {"no-list"}
    assert {problem.path[0] for problem in found} == {"use_integrated_lists"}
    assert problems(UrlFilter(**OWN), tmp_path) == []


@pytest.mark.parametrize(
    "wrong", [{"soft_word_threshold": 0}, {"extra_domains": 3}, {"banned": ["x"]}]
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UrlFilter(**wrong)
