"""E-mail and IP addresses in UTF-8 bytes, found from the one character that each must have.

Every function looks at ``data[begin:end]``, one document, and no further.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from kernels.pii.pii_context import (
    CAPITAL,
    NAME,
    is_alnum,
    is_digit,
    letter_after,
    letter_before,
    stems,
    word_before,
)
from kernels.text.utf8 import Bytes, decode

# Octets before and after the "@": RFC 5321, section 4.5.3.1.
MAX_LOCAL, MAX_DOMAIN, MAX_LABEL = 64, 255, 63

_DOT, _AT, _COLON, _DASH = 0x2E, 0x40, 0x3A, 0x2D
# RFC 5322, section 3.2.3, without the signs that in text are markup or part of a URL
# ("?to=me@example.com") and in addresses are hardly met: ! # $ * / = ? ^ ` { | }
_ATEXT = np.zeros(256, dtype=np.bool_)
_ATEXT[[*range(0x30, 0x3A), *range(0x41, 0x5B), *range(0x61, 0x7B)]] = True
_ATEXT[[ord(c) for c in "%&'+_~-"]] = True
_UNSPACED = 0xE00  # from Thai on there are scripts without spaces between words

# What follows the last dot of a file's name and is no top-level domain ("logo@2x.png").
_FILE_TYPES = stems(
    "png jpg jpeg gif svg webp bmp css js json html htm php xml pdf txt exe dll tar gz"
)
# Numbered things of four parts that are no addresses.
_NUMBERED = stems(
    "version* ver v release* build section* sec chapter* firmware clause figure fig table lemma "
    "theorem article rule item oid"
)
# Words that say that four small numbers are an address all the same.
_HOSTS = stems("ip* address* addr* host* server* client* peer* ping dns")
_SMALL = 32


def _table(blocks: str) -> npt.NDArray[np.int64]:
    rows = []
    for block in blocks.split():
        address, bits = block.split("/")
        value = 0
        for part in address.split("."):
            value = value * 256 + int(part)
        rows.append((value, value + 2 ** (32 - int(bits)) - 1))
    return np.array(rows, dtype=np.int64)


# First and last address of what no single host on the Internet has: IANA's special-purpose
# registry (RFC 6890 and its updates), and multicast (RFC 5771).
_SPECIAL = _table(
    "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/29 "
    "192.0.0.170/31 192.0.2.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 "
    "224.0.0.0/4 240.0.0.0/4"
)


@njit(cache=True)
def email_start(data: Bytes, begin: int, at: int, names: Bytes) -> int:
    """Where the local part before the "@" ``at`` begins; ``at`` when there is none.

    ``names`` are the ``name_characters``. Letters beyond ASCII are those of scripts that put spaces
    between words: others may stand directly before an address.
    """
    limit = max(begin, at - MAX_LOCAL - 1)
    start = at
    while start > limit:
        byte = data[start - 1]
        if byte < 0x80:
            dotted = byte == _DOT and start < at and data[start] != _DOT
            if not (_ATEXT[byte] or dotted):
                break
            start -= 1
        else:
            back = start - 1
            while back > begin and data[back] & 0xC0 == 0x80:
                back -= 1
            code, _ = decode(data, back)
            if code >= _UNSPACED or not names[code] & NAME:
                break
            start = back
    # Signs may stand inside a name, but before one they are quotation or markup.
    while start < at and data[start] < 0x80 and not is_alnum(data[start]):
        start += 1
    if at - start > MAX_LOCAL or (start < at and data[at - 1] == _DOT):
        return at
    return start


@njit(cache=True)
def email_end(data: Bytes, at: int, end: int, names: Bytes) -> int:
    """Where the domain after the "@" ``at`` ends, or ``at`` when there is none.

    A domain is labels of letters, digits and inner hyphens with dots between, letters of any script
    (RFC 5890), and the last one a top-level domain: letters alone, or ``xn--`` and more (RFC 3696,
    section 2); or an IPv4 address in brackets. ``names`` are the ``name_characters``.
    """
    if at + 1 < end and data[at + 1] == 0x5B:
        stop = ipv4_end(data, at + 2, end)
        return stop + 1 if at + 2 < stop < end and data[stop] == 0x5D else at
    found = at
    label = at + 1
    labels = 0
    stop = min(end, at + 1 + MAX_DOMAIN)
    while label < stop and data[label] != _DASH:
        last, ascii_end, letters = _label(data, label, stop, names)
        labels += 1
        if labels > 1 and 0 < ascii_end - label <= MAX_LABEL:
            # Behind a top-level domain in ASCII may stand text without a space.
            if _is_top_level(data, label, ascii_end, letters):
                found = ascii_end
        elif labels > 1 and last - label <= MAX_LABEL and _is_wide_top(data, label, last, names):
            found = last
        if last == label or last - label > MAX_LABEL or last >= stop or data[last] != _DOT:
            break
        label = last + 1
    return found


@njit(cache=True)
def _label(data: Bytes, label: int, stop: int, names: Bytes) -> tuple[int, int, bool]:
    """Where the label that begins there ends, where its first stretch of ASCII does, and whether
    that is letters alone."""
    last = ascii_end = label
    letters, ascii_only = True, True
    while last < stop:
        byte = data[last]
        after = last + 1
        if byte < 0x80:
            if not (is_alnum(byte) or byte == _DASH) or byte == 0x5F:
                break
            if ascii_only:
                letters = letters and not is_digit(byte) and byte != _DASH
        else:
            code, after = decode(data, last)
            if not names[code] & NAME:
                break
            ascii_only = False
        last = after
        if ascii_only:
            ascii_end = last
    while last > label and data[last - 1] == _DASH:
        last -= 1
    return last, min(ascii_end, last), letters


@njit(cache=True)
def _is_wide_top(data: Bytes, label: int, last: int, names: Bytes) -> bool:
    """Whether a label is two or more letters beyond ASCII, and not the first word of a sentence
    that follows an address and a full stop without a space."""
    at, count, capitals = label, 0, 0
    while at < last:
        if data[at] < 0x80:
            return False
        code, at = decode(data, at)
        capitals += count < 2 and names[code] & CAPITAL != 0
        count += 1
    return bool(count > 1 and capitals != 1)


@njit(cache=True)
def _is_top_level(data: Bytes, label: int, last: int, letters: bool) -> bool:
    if not letters:
        return bool(
            last - label > 4
            and data[label] | 0x20 == 0x78
            and data[label + 1] | 0x20 == 0x6E
            and data[label + 2] == _DASH
            and data[label + 3] == _DASH
        )
    return last - label >= 2 and not word_before(data, label, last, last - label, _FILE_TYPES)


@njit(cache=True)
def ipv4_end(data: Bytes, at: int, end: int) -> int:
    """Where four numbers up to 255 with dots between, the first ``at``, end; else ``at``.

    Numbers have no leading zeros, as in RFC 6943, section 3.1.1.
    """
    here = at
    for part in range(4):
        value = 0
        start = here
        while here < end and is_digit(data[here]) and here - start < 4:
            value = value * 10 + data[here] - 0x30
            here += 1
        if here == start or value > 255 or (here - start > 1 and data[start] == 0x30):
            return at
        if part < 3:
            if here >= end or data[here] != _DOT:
                return at
            here += 1
    return here


@njit(cache=True)
def is_public_v4(data: Bytes, at: int, stop: int) -> bool:
    value, part = np.int64(0), np.int64(0)
    for i in range(at, stop):
        if data[i] == _DOT:
            value, part = value * 256 + part, np.int64(0)
        else:
            part = part * 10 + data[i] - 0x30
    value = value * 256 + part
    for i in range(len(_SPECIAL)):  # noqa: SIM110 (numba has no all() over a generator)
        if _SPECIAL[i, 0] <= value <= _SPECIAL[i, 1]:
            return False
    return True


@njit(cache=True)
def find_ipv4(data: Bytes, begin: int, at: int, end: int, public_only: bool) -> int:
    """Where the IPv4 address that begins ``at`` ends, or ``at`` when there is none.

    Part of a longer number or name (``1.2.3.4.5``, ``v1.2.3.4``) is none, and neither is what a
    word before calls a version or a section. Four numbers below 32 are one address in 4,096 but
    most versions, sections and object identifiers: they need a port, a prefix length, a URL
    around them or a word such as "host" before them.
    """
    stop = ipv4_end(data, at, end)
    if stop == at or letter_before(data, begin, at) or letter_after(data, stop, end):
        return at
    if at - begin >= 2 and data[at - 1] == _DOT and is_alnum(data[at - 2]):
        return at
    if stop + 1 < end and data[stop] == _DOT and is_alnum(data[stop + 1]):
        return at
    if public_only and not is_public_v4(data, at, stop):
        return at
    if word_before(data, begin, at, 10, _NUMBERED):
        return at
    return stop if _is_large(data, at, stop) or _is_host(data, begin, at, stop, end) else at


@njit(cache=True)
def _is_large(data: Bytes, at: int, stop: int) -> bool:
    """Whether one of the numbers is at least 32."""
    value = 0
    for i in range(at, stop):
        value = 0 if data[i] == _DOT else value * 10 + data[i] - 0x30
        if value >= _SMALL:
            return True
    return False


@njit(cache=True)
def _is_host(data: Bytes, begin: int, at: int, stop: int, end: int) -> bool:
    if at - begin >= 2 and (data[at - 1] == _AT or (data[at - 1] == 0x2F == data[at - 2])):
        return True
    if stop + 1 < end and (data[stop] == _COLON or data[stop] == 0x2F) and is_digit(data[stop + 1]):
        return True
    return bool(word_before(data, begin, at, 24, _HOSTS))


@njit(cache=True)
def _hex_value(byte: int) -> int:
    if is_digit(byte):
        return int(byte) - 0x30
    lower = int(byte) | 0x20
    return lower - 0x57 if 0x61 <= lower <= 0x66 else -1


@njit(cache=True)
def ipv6_start(data: Bytes, begin: int, colon: int) -> int:
    """Where the first group of an IPv6 address before this ``colon`` begins, or ``colon``."""
    start = colon
    while start > begin and colon - start < 5 and _hex_value(data[start - 1]) >= 0:
        start -= 1
    if colon - start > 4 or letter_before(data, begin, start):
        return colon
    glued = start > begin and data[start - 1] in (_COLON, _DOT)
    return colon if glued else start


@njit(cache=True)
def find_ipv6(data: Bytes, start: int, end: int, public_only: bool) -> int:
    """Where the IPv6 address (RFC 4291, section 2.2) that begins ``start`` with hexadecimal
    digits ends, or ``start``. With ``public_only`` an address with ``::`` must be global unicast
    (2000::/3), for ``a::b`` is as good a name in program code.
    """
    groups, gap = 0, False
    first, second = 0, 0
    here = start
    while groups < 8:
        value, digits = 0, 0
        while here < end and digits < 5 and _hex_value(data[here]) >= 0:
            value = value * 16 + _hex_value(data[here])
            digits += 1
            here += 1
        if digits == 0 or digits > 4:
            if digits == 0 and gap and here >= 2 and data[here - 2] == _COLON:
                break  # ends in "::"
            return start
        first = value if groups == 0 else first
        second = value if groups == 1 and not gap else second
        groups += 1
        if here + 1 < end and data[here] == _COLON and data[here + 1] == _COLON and not gap:
            gap = True
            here += 2
        elif groups < 8 and here + 1 < end and data[here] == _COLON:
            if _hex_value(data[here + 1]) < 0:
                break
            here += 1
        else:
            break
    if (groups < 8 and not gap) or (groups == 8 and gap) or letter_after(data, here, end):
        return start
    if here + 1 < end and data[here] == _COLON and _hex_value(data[here + 1]) >= 0:
        return start
    if here + 1 < end and data[here] in (_COLON, _DOT) and is_alnum(data[here + 1]):
        return start
    return start if public_only and not _is_public_v6(first, second, gap) else here


@njit(cache=True)
def _is_public_v6(first: int, second: int, gap: bool) -> bool:
    """By the first two groups: IANA's special-purpose registry for IPv6, and multicast."""
    if first == 0x2001 and (second < 0x200 or second == 0x0DB8):
        return False
    if gap:
        return bool(0x2000 <= first <= 0x3FFF)
    return bool(0x100 < first < 0xFC00)
