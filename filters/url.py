"""Filtering by URL: lists of domains, URLs and words (RefinedWeb, arXiv:2306.01116, G.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from filters.url_lists import ARCHIVE, Lists, archived, make_lists
from winnow import (
    Docs,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    Rule,
    Signals,
    ThresholdFilter,
    cached_by_files,
    packaged,
)

# What comes before the first "/", "?" or "#" once a scheme is off.
AUTHORITY = r"^(?:(?:[a-zA-Z0-9+.\-]+:)?//)?(?P<authority>[^/?#]*)"
MAX_HOSTS = 2**17

WORD_LISTS = ("banned_words", "soft_banned_words", "banned_subwords")
LISTS = ("extra_domains", "extra_urls", *WORD_LISTS)
PACKAGE = "datatrove"

Entries = str | tuple[str, ...]


class UrlFilter(NamesFiles, ThresholdFilter):
    """Drop documents by their URL: listed domains and URLs, and words that are not wanted in one.

    Decisions and reasons are those of datatrove 0.10.1's ``URLFilter`` without a network: public
    suffixes are those that tldextract comes with. A list is given as its entries or as the name of
    a file with one on a line; it is added to datatrove's own. Case counts for domains, URLs and
    whole words. Documents without a URL stay unless ``require_url``.
    """

    kernels: ClassVar[tuple[str, ...]] = ("match", "text")

    soft_word_threshold: int = Field(
        2, ge=1, description="drop a URL with this many distinct words of soft_banned_words"
    )
    extra_domains: Entries | None = Field(
        None, description="domains, or hosts below one, to drop: entries, or a file's name"
    )
    extra_urls: Entries | None = Field(
        None, description="whole URLs to drop: entries, or a file's name"
    )
    banned_words: Entries | None = Field(
        None, description="words of which none may be in a URL: entries, or a file's name"
    )
    banned_subwords: Entries | None = Field(
        None,
        description="letters of which none may be in a URL, even across words: "
        "entries, or a file's name",
    )
    soft_banned_words: Entries | None = Field(
        None, description="words of which few may be in a URL: entries, or a file's name"
    )
    use_integrated_lists: bool = Field(
        True, description="use datatrove's lists too: 4.6 million domains, 20,000 URLs, 400 words"
    )
    require_url: bool = Field(False, description="drop documents without a URL")

    def files(self) -> Mapping[Location, Path]:
        named = {(name,): getattr(self, name) for name in LISTS}
        found: dict[Location, Path] = {
            place: self.located(Path(value))
            for place, value in named.items()
            if isinstance(value, str)
        }
        if self.use_integrated_lists:
            for name in (ARCHIVE, *(f"{name}.txt" for name in WORD_LISTS)):
                path = packaged(PACKAGE, "assets", name)
                found["use_integrated_lists", name] = path or Path(name)
        return found

    def missing(self, place: Location, path: Path) -> Problem:
        if place[0] != "use_integrated_lists":
            return super().missing(place, path)
        message, hint = f"datatrove's list {path.name} is not installed", "pip install datatrove"
        return Problem(place, "no-list", message, hint)

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from super().check(view)
        for place, path in self.files().items():
            if len(place) == 1 and path.is_file():
                try:
                    path.read_bytes().decode()
                except UnicodeDecodeError as error:
                    message = f"'{self._written(path)}' is not UTF-8 at byte {error.start}"
                    yield Problem(place, "not-utf8", message, "save the file as UTF-8")

    def measure(self, docs: Docs) -> Signals:
        import pyarrow.compute as pc

        matcher = self._matcher()
        urls = pc.fill_null(docs.column("url"), "")
        hosts = matcher.hosts(urls)
        hard, soft = matcher.lists.words(urls)
        return {
            "has_url": pc.not_equal(urls, "").to_numpy(zero_copy_only=False).astype(np.int8),
            "domain_listed": (hosts == DOMAIN).astype(np.int8),
            "subdomain_listed": (hosts == SUBDOMAIN).astype(np.int8),
            "url_listed": matcher.lists.list_urls(urls).astype(np.int8),
            "banned_words": hard,
            "soft_banned_words": soft,
            "banned_subwords": matcher.lists.subwords(urls).astype(np.int8),
        }

    def rules(self) -> list[Rule]:
        most_soft = self.soft_word_threshold - 1
        return [
            *([Rule("no_url", "has_url", least=1)] if self.require_url else []),
            Rule("domain", "domain_listed", most=0),
            Rule("subdomain", "subdomain_listed", most=0),
            Rule("url", "url_listed", most=0),
            Rule("hard_blacklisted", "banned_words", most=0),
            Rule("soft_blacklisted", "soft_banned_words", "soft_word_threshold", most=most_soft),
            Rule("blacklisted_subword", "banned_subwords", most=0),
        ]

    def _matcher(self) -> _UrlMatcher:
        return _loaded(self, tuple(self.files().values()))

    def read_lists(self) -> Lists:
        """All lists, read anew. FileNotFoundError when a file is missing."""
        files, raw = self.files(), {}
        for name in LISTS:
            given = getattr(self, name)
            listed = "\n".join(given or ()).encode()
            raw[name] = [files[name,].read_bytes() if isinstance(given, str) else listed]
        if self.use_integrated_lists:
            long = archived(files["use_integrated_lists", ARCHIVE])
            raw["extra_domains"].append(long["domains"])
            raw["extra_urls"].append(long["urls"])
            for name in WORD_LISTS:
                raw[name].append(files["use_integrated_lists", f"{name}.txt"].read_bytes())
        return make_lists(
            raw["extra_domains"],
            raw["extra_urls"],
            raw["banned_words"],
            raw["soft_banned_words"],
            raw["banned_subwords"],
        )


NEITHER, DOMAIN, SUBDOMAIN = range(3)


class _UrlMatcher:
    """The lists, and what they say of the hosts met so far (at most MAX_HOSTS)."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self._split = _splitter()
        self._known: dict[str, int] = {}

    def hosts(self, urls: pa.LargeStringArray) -> npt.NDArray[np.int8]:
        """NEITHER, DOMAIN or SUBDOMAIN for each URL [rows]."""
        import pyarrow.compute as pc

        found = pc.struct_field(pc.extract_regex(urls, AUTHORITY), "authority")
        encoded = found.dictionary_encode()
        distinct = encoded.dictionary.to_pylist()
        if len(self._known) > MAX_HOSTS:
            self._known.clear()
        self._learn([name for name in distinct if name not in self._known])
        known = np.array([self._known[name] for name in distinct], dtype=np.int8)
        codes: npt.NDArray[np.int8] = known[encoded.indices.to_numpy()]
        return codes

    def _learn(self, authorities: list[str]) -> None:
        parts = [self._split(f"//{authority}") for authority in authorities]
        domains = [part.top_domain_under_public_suffix for part in parts]
        domain = self.lists.list_domains(pa.array(domains, pa.large_string()))
        full = self.lists.list_domains(pa.array([p.fqdn for p in parts], pa.large_string()))
        codes = np.where(domain, DOMAIN, np.where(full, SUBDOMAIN, NEITHER))
        self._known.update(zip(authorities, codes.tolist(), strict=True))


@lru_cache(maxsize=1)
def _splitter() -> Callable[[str], Any]:
    """tldextract with the public suffixes that it comes with; it asks no server."""
    # Imported where it is needed: that takes a fifth of a second.
    from tldextract import TLDExtract

    split = TLDExtract(cache_dir=None, suffix_list_urls=())
    split("//example.org")  # reads the suffixes
    return split


@cached_by_files(maxsize=2)
def _loaded(step: UrlFilter, files: tuple[Path, ...]) -> _UrlMatcher:
    """The lists of ``step``, which are in ``files`` where it does not list them itself."""
    return _UrlMatcher(step.read_lists())
