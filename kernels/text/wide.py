"""Many bytes at once, for compiled loops: unaligned words, bit masks, wider vectors.

Positions are not checked; a load or a mask must lie within ``data``. Words are little-endian.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

from kernels.text.utf8 import Bytes

ir = cgutils.ir
_WORD = ir.IntType(64)
_BLOCK = ir.VectorType(ir.IntType(8), 64)

# The types of bytes and of a position in them. A kernel that many others call, often with numbers
# written out, names its types: numba would otherwise compile it anew for each such number.
BYTES, AT = types.Array(types.uint8, 1, "C", readonly=True), types.int64


def _pointer(context: Any, builder: Any, data: Any, data_type: Any, at: Any, to: Any) -> Any:
    array = context.make_array(data_type)(context, builder, data)
    return builder.bitcast(builder.gep(array.data, [at]), to.as_pointer())


def _loader(width: int) -> Any:
    """A compiled little-endian load of ``width`` bits from any byte position."""
    kind = ir.IntType(width)

    @intrinsic
    def load(typing: Any, data: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, at = arguments
            pointer = _pointer(context, builder, array, signature.args[0], at, kind)
            value = builder.load(pointer, align=1)
            return builder.zext(value, _WORD) if width < 64 else value

        return types.uint64(data, types.int64), generate

    return load


# One unaligned load each; eight byte loads and shifts would take eight times as long.
load64 = _loader(64)
load32 = _loader(32)


@intrinsic
def trailing_zeros(typing: Any, value: Any) -> Any:
    """How many of the lowest bits of a number are 0; 64 when all are."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], cgutils.false_bit)

    return types.uint64(types.uint64), generate


@intrinsic
def store64(typing: Any, data: Any, at: Any, value: Any) -> Any:
    """Write ``value`` to the 8 bytes of ``data`` from ``at`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = _pointer(context, builder, arguments[0], signature.args[0], arguments[1], _WORD)
        builder.store(arguments[2], word, align=1)
        return context.get_dummy_value()

    return types.void(data, types.int64, types.uint64), generate


@intrinsic
def _range_mask(typing: Any, data: Any, at: Any, low: Any, high: Any) -> Any:
    """Bit i is set where ``low <= data[at + i] <= high``, for the 64 bytes from ``at`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def everywhere(value: Any) -> Any:
            none = ir.Constant(_BLOCK, ir.Undefined)
            first = builder.insert_element(none, value, ir.Constant(ir.IntType(32), 0))
            order = ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64)
            return builder.shuffle_vector(first, none, order)

        array, at, low, high = arguments
        block = builder.load(
            _pointer(context, builder, array, signature.args[0], at, _BLOCK), align=1
        )
        above = builder.sub(block, everywhere(low))
        found = builder.icmp_unsigned("<=", above, everywhere(builder.sub(high, low)))
        return builder.bitcast(found, _WORD)

    return types.uint64(data, types.int64, types.uint8, types.uint8), generate


@intrinsic
def bit_count(typing: Any, bits: Any) -> Any:
    """How many bits of ``bits`` are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def prefer_wide_vectors(typing: Any) -> Any:
    """Let the compiler use 512-bit vectors in the function that calls this, where there are any.

    LLVM prefers 256 bits on most processors that have both; 64-bit products gain from 512.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # llvmlite has no name for this attribute and would refuse it.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.void(), generate


@njit(cache=True, forceinline=True)
def lowest_bit(bits: np.uint64) -> int:
    """The number of the lowest bit set in ``bits``; 64 when there is none."""
    return np.int64(trailing_zeros(bits))  # type: ignore[return-value]


@njit(types.uint64(BYTES, AT, AT, types.int64, types.int64), cache=True, forceinline=True)
def range_mask(data: Bytes, at: int, end: int, low: int, high: int) -> np.uint64:
    """Bit i is set where ``low <= data[at + i] <= high``, for at most 64 bytes before ``end``."""
    if at + 64 <= len(data):
        mask = _range_mask(data, at, np.uint8(low), np.uint8(high))
        if at + 64 > end:
            mask &= (np.uint64(1) << np.uint64(max(end - at, 0))) - np.uint64(1)
        return np.uint64(mask)
    mask = np.uint64(0)
    for i in range(min(64, end - at)):
        if low <= data[at + i] <= high:
            mask |= np.uint64(1) << np.uint64(i)
    return mask


@njit(cache=True, forceinline=True)
def hash_range(data: Bytes, start: int, end: int) -> np.uint64:
    """64 bits that depend on all of ``data[start:end]``, for tables that compare what they find."""
    size = end - start
    value = np.uint64(size) * np.uint64(0x9E3779B97F4A7C15)
    if size < 8:
        for at in range(start, end):
            value = (value ^ np.uint64(data[at])) * np.uint64(0x100000001B3)
    else:
        at = start
        while at + 16 < end:
            value ^= load64(data, at) * np.uint64(0xD6E8FEB86659FD93)
            value = (value << np.uint64(29)) | (value >> np.uint64(35))
            value = (value ^ load64(data, at + 8)) * np.uint64(0x9E3779B97F4A7C15)
            at += 16
        if at + 8 < end:
            value = (value ^ load64(data, at)) * np.uint64(0xD6E8FEB86659FD93)
            value ^= value >> np.uint64(32)
        value = (value ^ load64(data, end - 8)) * np.uint64(0x9E3779B97F4A7C15)
    value ^= value >> np.uint64(32)
    value *= np.uint64(0xD6E8FEB86659FD93)
    return np.uint64(value ^ (value >> np.uint64(29)))


@njit(cache=True, forceinline=True)
def same_range(data: Bytes, left: int, right: int, size: int) -> bool:
    """Whether ``data[left:left + size]`` equals ``data[right:right + size]``."""
    if size < 8:
        for i in range(size):  # noqa: SIM110 (numba has no all() over a generator)
            if data[left + i] != data[right + i]:
                return False
        return True
    for i in range(0, size - 8, 8):
        if load64(data, left + i) != load64(data, right + i):
            return False
    return bool(load64(data, left + size - 8) == load64(data, right + size - 8))
