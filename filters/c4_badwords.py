"""C4's rule on bad words (Raffel et al. 2020, arXiv:1910.10683, section 2.2), by language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

import kernels.hashing
import kernels.lines
import kernels.text
from winnow import (
    BoolArray,
    Docs,
    FilterResult,
    Location,
    ManifestView,
    NamesFiles,
    Problem,
    RowStep,
    ShardError,
    cached_by_files,
)

if TYPE_CHECKING:
    from kernels.lines import WordTrie

# Languages written without spaces, whose words are found inside others.
UNSPACED = ("ja", "th", "zh")
# Listed words that are part of many innocent ones there; datatrove takes them out of every list.
ALLOWED = frozenset({"sm", "グロ", "女の子", "性"})


class C4BadWords(NamesFiles, RowStep):
    """Drop documents that hold a word of their language's list of bad words.

    A word is found in the lower case of the text where no letter, digit or "_" is beside it; in
    Japanese, Thai and Chinese, anywhere. Words listed with capitals are therefore never found.
    With ``keep_fraction`` 0, decisions and the reason are those of datatrove 0.10.1's
    ``C4BadWordsFilter`` with the same lists, but that blank lines in a list mean nothing. Which
    documents ``keep_fraction`` spares follows from their ids and ``seed``, so it does not depend
    on the order of documents, as it does there.

    The lists C4 used are those of github.com/LDNOOBW, one file per language and a word a line:
    ``List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words``, at commit 25e679f0 for English and
    at 5faf2ba4 for the others. They are not part of winnow.
    """

    kernels: ClassVar[tuple[str, ...]] = ("hashing", "lines", "text")

    lists: dict[str, Path] = Field(
        min_length=1,
        description="file of bad words by language, from the manifest's folder: UTF-8, one a line",
    )
    keep_fraction: float = Field(
        0.0, ge=0, le=1, description="share of documents with bad words that are kept"
    )
    fail_on_missing_language: bool = Field(
        True, description="fail on a language without a list; if false, keep its documents"
    )
    seed: Annotated[int, Field(ge=0, lt=2**64)] = Field(
        0, description="picks which documents `keep_fraction` keeps"
    )
    default_language: str = Field(
        "en", description="language of documents whose column `language` is null"
    )

    def files(self) -> Mapping[Location, Path]:
        return {("lists", name): self.located(path) for name, path in self.lists.items()}

    def check(self, view: ManifestView) -> Iterator[Problem]:
        yield from super().check(view)
        for place, path in self.files().items():
            if not path.is_file():
                continue
            try:
                if not read_words(path):
                    yield Problem(place, "empty-list", f"'{self._written(path)}' lists no words")
            except UnicodeDecodeError as error:
                message = f"'{self._written(path)}' is not UTF-8: {error.reason}"
                yield Problem(place, "bad-list", message, "write the list as UTF-8")

    def prepare(self, sample: Docs) -> None:
        # All lists, and not that of the sample's language alone.
        for name in self.lists:
            kernels.lines.has_word(
                kernels.text.lower(sample.text), self._trie(name), anywhere=name in UNSPACED
            )
        self._spared(sample.column("id"))

    def filter(self, docs: Docs) -> FilterResult:
        import pyarrow.compute as pc

        language = docs.column("language").fill_null(self.default_language)
        found = np.zeros(len(docs), dtype=np.bool_)
        for name in pc.unique(language).to_pylist():
            if name in self.lists:
                rows = np.flatnonzero(pc.equal(language, name).to_numpy(zero_copy_only=False))
                text = docs.text.take(pa.array(rows))
                found[rows] = kernels.lines.has_word(
                    kernels.text.lower(text), self._trie(name), anywhere=name in UNSPACED
                )
            elif self.fail_on_missing_language:
                raise ShardError(
                    "no-word-list",
                    f"there is a document in {name!r}, for which no bad words are listed",
                    "add a list for it, or set fail_on_missing_language: false to keep such",
                )
        keep = ~found
        if self.keep_fraction > 0:
            keep |= self._spared(docs.column("id"))
        signals = {"bad_words": found.astype(np.int8)}
        return FilterResult(keep, "document_removed_with_badwords", signals)

    def _trie(self, language: str) -> WordTrie:
        return _trie_of(self.located(self.lists[language]))

    def _spared(self, ids: pa.LargeStringArray) -> BoolArray:
        """Whether documents with these ids [rows] would be kept in spite of bad words."""
        hashes = kernels.hashing.xxh64_rows(*kernels.text.text_buffers(ids), self.seed)
        return np.asarray((hashes >> np.uint64(11)) * 2.0**-53 < self.keep_fraction)


def read_words(path: Path) -> list[str]:
    """The words of a list, without those that are ALLOWED. Raises UnicodeDecodeError."""
    lines = path.read_text("utf-8").split("\n")
    return sorted({word for line in lines if (word := line.strip())} - ALLOWED)


@cached_by_files(maxsize=64)
def _trie_of(path: Path) -> WordTrie:
    return kernels.lines.word_trie(read_words(path))
