"""The lists that URLs are looked up in: those of the manifest, and those of datatrove."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

import kernels.match
import kernels.text

# What a line may hold so that nothing is to be done to it.
_PLAIN = bytes([*range(0x21, 0x7F), ord("\n")])

ARCHIVE = "url_filterblacklistsv0_3_0.tar.gz"


@dataclass(frozen=True)
class Lists:
    """Tables of every list; several where the manifest's adds to datatrove's."""

    domains: Sequence[kernels.match.Lines]
    urls: Sequence[kernels.match.Lines]
    banned_words: kernels.match.Lines
    soft_banned_words: kernels.match.Lines
    banned_subwords: kernels.match.Trie

    def list_domains(self, names: pa.LargeStringArray) -> kernels.match.Bools:
        """Which names [rows] are among the domains."""
        return _listed(self.domains, names)

    def list_urls(self, urls: pa.LargeStringArray) -> kernels.match.Bools:
        """Which URLs [rows] are listed as a whole."""
        return _listed(self.urls, urls)

    def words(self, urls: pa.LargeStringArray) -> tuple[kernels.match.Counts, kernels.match.Counts]:
        """How many distinct banned and soft-banned words are in each URL [rows]."""
        data, offsets = kernels.text.text_buffers(urls)
        hard, soft = (np.empty(len(urls), dtype=np.int32) for _ in range(2))
        kernels.match.count_words(self.banned_words, data, offsets, hard)
        kernels.match.count_words(self.soft_banned_words, data, offsets, soft)
        return hard, soft

    def subwords(self, urls: pa.LargeStringArray) -> kernels.match.Bools:
        """Which URLs [rows] hold a banned sub-word."""
        data, offsets = kernels.text.text_buffers(urls)
        found = np.empty(len(urls), dtype=np.bool_)
        kernels.match.contain_any(self.banned_subwords, data, offsets, found)
        return found


def _listed(
    tables: Sequence[kernels.match.Lines], names: pa.LargeStringArray
) -> kernels.match.Bools:
    data, offsets = kernels.text.text_buffers(names)
    found = np.zeros(len(names), dtype=np.bool_)
    for table in tables:
        kernels.match.find_texts(table, data, offsets, found)
    return found


def make_lists(
    domains: Sequence[bytes],
    urls: Sequence[bytes],
    banned_words: Sequence[bytes],
    soft_banned_words: Sequence[bytes],
    banned_subwords: Sequence[bytes],
) -> Lists:
    """From lists as files hold them. UnicodeDecodeError when one is not UTF-8."""
    return Lists(
        domains=[kernels.match.enter_lines(clean(raw)) for raw in domains],
        urls=[kernels.match.enter_lines(clean(raw)) for raw in urls],
        banned_words=_word_table(banned_words),
        soft_banned_words=_word_table(soft_banned_words),
        banned_subwords=kernels.match.make_trie(normalised(banned_subwords)),
    )


def _word_table(lists: Sequence[bytes]) -> kernels.match.Lines:
    return kernels.match.enter_lines("\n".join(normalised(lists)).encode())


def normalised(lists: Sequence[bytes]) -> list[str]:
    """The entries of lists of words, letters and digits alone, in lower case."""
    words = {
        re.sub("[^a-zA-Z0-9]+", "", line).lower()
        for raw in lists
        for line in clean(raw).decode().split("\n")
    }
    return sorted(words - {""})


def clean(raw: bytes) -> bytes:
    """The entries of a list, one on a line.

    Lines that begin with "#" are comments, white space around an entry is none of it. Empty lines
    are left out: datatrove takes one as an entry, and so bans every host without a public suffix.
    """
    plain = not raw.translate(None, _PLAIN) and not raw.startswith(b"#") and b"\n#" not in raw
    if plain:
        return raw
    lines = re.split("\r\n|\r|\n", raw.decode())
    entries = [line.strip() for line in lines if not line.startswith("#")]
    return "\n".join(entry for entry in entries if entry).encode()


def archived(path: Path) -> dict[str, bytes]:
    """The files of datatrove's archive by name: ``domains`` and ``urls``."""
    found = {}
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
    return found
