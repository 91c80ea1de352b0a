"""spaCy's English tokenizer for one span, compiled: prefixes and suffixes are taken off in turn,
then special cases, addresses and infixes cut what is left.

The steps and their order are those of spaCy's ``Tokenizer``; what each looks for is in
kernels.words.english_rules. Where a span needs more than these tables know, the answer is NOT_HERE.
"""

from __future__ import annotations

from numba import njit

from kernels.text.utf8 import SPACE, Bytes, Offsets, decode
from kernels.words.english_rules import (
    AFTER_DOT,
    ALPHA,
    BEFORE_DOT,
    ENDS_DOTTED,
    INFIX,
    LABEL,
    LIMIT,
    PREFIX,
    SUFFIX,
    TOP,
    UPPER,
    Kinds,
    Rules,
    lookup,
    shape,
)

NOT_HERE = -1
_TOO_HIGH = 0xE3  # first bytes from here on begin code points from LIMIT on
assert chr(LIMIT).encode()[0] == _TOO_HIGH

DOT, _DASH, _PLUS, _COLON, _SLASH, _AT = (ord(char) for char in ".-+:/@")
_DOLLAR, _COMMA, _TILDE, _QUOTE, _UNDERSCORE = (ord(char) for char in "$,~'_")
_STAR, _CARET, _LESS, _EQUAL, _GREATER = (ord(char) for char in "*^<=>")
_QUESTION, _NUMBER_SIGN = (ord(char) for char in "?#")
_ELLIPSIS, _EN_DASH, _EM_DASH, _RIGHT_QUOTE, _DEGREE = 0x2026, 0x2013, 0x2014, 0x2019, 0xB0
_LABEL_SIZE, _TOP_SIZE = 64, 63  # longest label of a host, and longest top-level domain


@njit(cache=True, forceinline=True)
def _is_digit(byte: int) -> bool:
    return 0x30 <= byte <= 0x39


@njit(cache=True, forceinline=True)
def _before(data: Bytes, at: int) -> int:
    """Where the character that ends at ``at`` begins."""
    at -= 1
    while data[at] & 0xC0 == 0x80:
        at -= 1
    return at


@njit(cache=True)
def _prefix(kinds: Kinds, data: Bytes, start: int, end: int) -> int:
    """Bytes of the prefix of ``data[start:end]``."""
    first = data[start]
    if first == _PLUS:
        return 0 if start + 1 < end and _is_digit(data[start + 1]) else 1
    if first == DOT:
        at = start
        while at < end and data[at] == DOT:
            at += 1
        return at - start if at - start > 1 else 0
    if start + 1 < end and data[start + 1] == _DOLLAR and (first == 0x41 or first == 0x43):
        return 2  # A$, C$
    if start + 2 < end and first == 0x55 and data[start + 1] == 0x53 and data[start + 2] == _DOLLAR:
        return 3  # US$
    code_point, after = decode(data, start)
    return after - start if kinds[code_point] & PREFIX else 0


@njit(cache=True)
def _suffix(kinds: Kinds, data: Bytes, start: int, end: int) -> int:
    """Bytes of the suffix of ``data[start:end]``: of all that match, the longest; but for
    ``_tail``."""
    last = _before(data, end)
    point = decode(data, last)[0]
    found = last if kinds[point] & SUFFIX else end
    if last > start:
        before = _before(data, last)
        previous = decode(data, before)[0]
        if ((point == 0x73 or point == 0x53) and previous in (_QUOTE, _RIGHT_QUOTE)) or (
            point == _ELLIPSIS and previous == _ELLIPSIS
        ):
            found = before
        elif point == DOT:
            found = min(found, _dotted(kinds, data, start, last, before, previous))
    return end - found


@njit(cache=True, forceinline=True)
def _tail(data: Bytes, start: int, end: int, longest: int) -> int:
    """Where what follows the last digit of ``data[start:end]`` begins; ``end`` when there is no
    digit or too much after it."""
    at = end - 1
    while at >= start and end - at <= longest and not _is_digit(data[at]):
        at -= 1
    return at + 1 if at >= start and _is_digit(data[at]) else end


@njit(cache=True)
def _dotted(kinds: Kinds, data: Bytes, start: int, dot: int, before: int, previous: int) -> int:
    """Where the suffix that ends with the ``dot`` begins; behind it when there is none."""
    if previous == DOT:
        while before > start and data[before - 1] == DOT:
            before -= 1
        return before
    if kinds[previous] & ENDS_DOTTED:
        return dot
    if before > start:
        earlier = decode(data, _before(data, before))[0]
        if kinds[previous] & UPPER and kinds[earlier] & UPPER:
            return dot
        if earlier == _DEGREE and (
            previous == 0x46 or previous == 0x66 or previous == 0x43
            or previous == 0x63 or previous == 0x4B or previous == 0x6B
        ):  # fmt: skip
            return dot
    return dot + 1


@njit(cache=True)
def _tail_ends(data: Bytes, at: int, end: int) -> bool:
    """Whether what follows a host at ``at`` lets an address end there: a port, a path."""
    if at < end and data[at] == _COLON:
        first = at + 1
        at = first
        while at < end and _is_digit(data[at]):
            at += 1
        if at - first < 2 or at - first > 5:
            return False
    return at == end or data[at] == _SLASH or data[at] == _QUESTION or data[at] == _NUMBER_SIGN


@njit(cache=True)
def _host(kinds: Kinds, data: Bytes, start: int, end: int) -> int:
    """1 when an address goes on with a host at ``start`` and ends well, else 0; NOT_HERE for
    four numbers, whose ranges matter. ASCII only."""
    at, dots, label = start, 0, start
    numeric = True
    while at < end:
        byte = data[at]
        if byte == DOT:
            if (
                at == label
                or at - label > _LABEL_SIZE
                or not kinds[data[label]] & LABEL
                or not kinds[data[at - 1]] & LABEL
            ):
                return 0
            dots += 1
            label = at + 1
        elif kinds[byte] & LABEL or byte in (_DASH, _UNDERSCORE):
            numeric &= _is_digit(byte)
        else:
            break
        at += 1
    if dots == 0 or not _tail_ends(data, at, end):
        return 0
    if numeric:
        return NOT_HERE if dots == 3 else 0
    if at - label < 2 or at - label > _TOP_SIZE:
        return 0
    for i in range(label, at):
        if not kinds[data[i]] & TOP:
            return 0
    return 1


@njit(cache=True)
def _is_address(kinds: Kinds, data: Bytes, start: int, end: int) -> int:
    """1 when ``data[start:end]`` is what spaCy takes for a URL, 0 when not, or NOT_HERE."""
    dotted, plain = False, True
    for at in range(start, end):
        dotted |= data[at] == DOT
        plain &= data[at] < 0x80
    if not dotted:
        return 0
    if not plain:
        return NOT_HERE
    found = _host(kinds, data, start, end)
    at = start
    while at < end and (
        kinds[data[at]] & LABEL
        or data[at] == _DASH
        or data[at] == _UNDERSCORE
        or data[at] == DOT
        or data[at] == _PLUS
    ):
        at += 1
    if (
        found == 0
        and at - start > 1
        and at + 2 < end
        and data[at] == _COLON
        and data[at + 1] == _SLASH
        and data[at + 2] == _SLASH
    ):
        found = _host(kinds, data, at + 3, end)
    at = start + 1
    while found == 0 and at < end:
        if data[at] == _AT:
            found = _host(kinds, data, at + 1, end)
        at += 1
    return int(found)


@njit(cache=True, forceinline=True)
def _kind(kinds: Kinds, data: Bytes, at: int, end: int) -> int:
    """The kinds of the character at ``at``; none at the end."""
    return kinds[decode(data, at)[0]] if at < end else 0


@njit(cache=True)
def _infix(
    kinds: Kinds, data: Bytes, at: int, end: int, before: int, kind: int, digit: bool
) -> int:
    """Bytes of the infix at ``at``, or 0. ``before`` are the kinds of the character before, and
    ``digit`` whether that is an ASCII digit; ``kind`` those of the one at ``at``."""
    byte = data[at]
    if byte == DOT:
        run = at
        while run < end and data[run] == DOT:
            run += 1
        if run - at > 1:
            return run - at
        return 1 if before & BEFORE_DOT and _kind(kinds, data, at + 1, end) & AFTER_DOT else 0
    if kind & INFIX:
        return int(decode(data, at)[1] - at)
    if digit and byte in (_PLUS, _DASH, _STAR, _CARET) and at + 1 < end:
        after = data[at + 1]
        if _is_digit(after) or after == _DASH:
            return 1
    if byte == _COMMA:
        return 1 if before & ALPHA and _kind(kinds, data, at + 1, end) & ALPHA else 0
    if not (before & ALPHA or digit):
        return 0
    if byte in (_COLON, _LESS, _GREATER, _EQUAL, _SLASH):
        return 1 if _kind(kinds, data, at + 1, end) & ALPHA else 0
    return int(_hyphen(kinds, data, at, end))


@njit(cache=True)
def _hyphen(kinds: Kinds, data: Bytes, at: int, end: int) -> int:
    """Bytes of the hyphen at ``at`` if a letter follows it, or 0."""
    point, after = decode(data, at)
    if point == _DASH:
        most = 3
    elif point == _EM_DASH:
        most = 2
    elif point in (_EN_DASH, _TILDE):
        most = 1
    else:
        return 0
    for _ in range(most):
        if _kind(kinds, data, after, end) & ALPHA:
            return int(after - at)
        if after >= end or decode(data, after)[0] != point:
            return 0
        after = decode(data, after)[1]
    return 0


@njit(cache=True)
def _cut_infixes(
    kinds: Kinds, data: Bytes, start: int, end: int, starts: Offsets, count: int
) -> int:
    """Writes where the tokens of ``data[start:end]`` begin; how many there are by then."""
    at, token = start, start
    before, digit = 0, False
    while at < end:
        point, after = decode(data, at)
        kind = kinds[point]
        size = _infix(kinds, data, at, end, before, kind, digit) if not _plain(data[at]) else 0
        if size and at > start:
            if at > token:
                starts[count] = token
                count += 1
            starts[count] = at
            count += 1
            token = at + size
        if size:  # the search goes on behind a match, also behind one at the start
            after = at + size
            last = _before(data, after)
            point = decode(data, last)[0]
            kind = kinds[point]
        before, digit = kind, _is_digit(point)
        at = after
    if token < end:
        starts[count] = token
        count += 1
    return count


@njit(cache=True, forceinline=True)
def _plain(byte: int) -> bool:
    """An ASCII letter or digit, which is never an infix."""
    return 0x61 <= byte <= 0x7A or 0x41 <= byte <= 0x5A or 0x30 <= byte <= 0x39


@njit(cache=True)
def _middle(rules: Rules, data: Bytes, start: int, end: int, starts: Offsets, count: int) -> int:
    """The tokens of what no prefix or suffix can be taken from; NOT_HERE or their number."""
    special = -1
    if rules.specials.shapes[shape(data, start, end)]:
        special = lookup(rules.specials, data, start, end)
    if special >= 0:
        for i in range(rules.piece_starts[special], rules.piece_starts[special + 1]):
            starts[count] = start
            start += rules.piece_sizes[i]
            count += 1
        return count
    word = True
    for at in range(start, end):
        word &= _plain(data[at])
    if word:
        starts[count] = start
        return count + 1
    address = _is_address(rules.kinds, data, start, end)
    if address == NOT_HERE:
        return NOT_HERE
    if address:
        starts[count] = start
        return count + 1
    return int(_cut_infixes(rules.kinds, data, start, end, starts, count))


@njit(cache=True)
def split_span(
    rules: Rules, data: Bytes, start: int, end: int, starts: Offsets, tails: Offsets
) -> int:
    """Where the tokens of the span ``data[start:end]`` begin, into ``starts``; their number.

    ``starts`` and ``tails`` (scratch) have room for one number per
    byte of it, and one more; the last token ends where the span does.
    """
    if not _is_ours(data, start, end):
        return NOT_HERE
    # Locals, and a look at the shape before each lookup: every call with arrays counts references.
    kinds, special, longest = rules.kinds, rules.specials.shapes, rules.tails.longest[0]
    count = cut = 0
    stop = end
    size = -1
    while start < stop and stop - start != size:
        if special[shape(data, start, stop)] and lookup(rules.specials, data, start, stop) >= 0:
            break
        size = stop - start
        prefix = _prefix(kinds, data, start, stop)
        if prefix:
            starts[count] = start
            count += 1
            start += prefix
            if start == stop or (
                special[shape(data, start, stop)] and lookup(rules.specials, data, start, stop) >= 0
            ):
                break
        suffix = _suffix(kinds, data, start, stop)
        tail = _tail(data, start, stop, longest)
        if stop - tail > suffix and lookup(rules.tails, data, tail, stop) >= 0:
            suffix = stop - tail
        stop -= suffix
        if suffix:
            tails[cut] = stop
            cut += 1
            # Here the prefix is still there for spaCy, and stays if that makes a special case.
            if (
                stop > start - prefix
                and special[shape(data, start - prefix, stop)]
                and lookup(rules.specials, data, start - prefix, stop) >= 0
            ):
                start -= prefix
                count -= prefix > 0
                break
    if start < stop:
        count = _middle(rules, data, start, stop, starts, count)
    if count != NOT_HERE:
        for i in range(cut):
            starts[count + i] = tails[cut - 1 - i]
        count += cut
    return count


@njit(cache=True)
def _is_ours(data: Bytes, start: int, end: int) -> bool:
    """Whether the tables know all characters, and no space joins several spans."""
    for at in range(start, end):  # noqa: SIM110 (numba has no all() over a generator)
        if data[at] >= _TOO_HIGH or data[at] == SPACE:
            return False
    return True
