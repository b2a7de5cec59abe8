"""Compiled packing: numbers are compared with thresholds, and the answers become words.

Needs numba; see `packed_kernels`.
"""

from __future__ import annotations

from numba import njit
from numpy import empty, uint64

from ib_analysis.binary.packed_lanes import LANES, add_signs, store, word_of_signs, zero

__all__ = ["pack_planes", "pack_rows", "pack_vectors", "pad_planes"]

_BLOCK = 64
"""Channels of a plane."""

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def pack_rows(values, start, distance, count, thresholds, flipped, words):
    """Signs of up to 64 channels: bit c of words[j] is whether values[start + c distance + j] >= thresholds[c].

    Where `flipped` is 1 it is the opposite.
    """
    flips = uint64(0)
    for channel in range(len(thresholds)):
        flips |= uint64(flipped[channel]) << uint64(channel)
    column = 0
    while column + 2 * LANES <= count:
        a, b = zero(), zero()
        for channel in range(len(thresholds)):
            position, threshold = start + channel * distance + column, thresholds[channel]
            bit = uint64(1) << uint64(channel)
            a = add_signs(a, values, position, threshold, bit)
            b = add_signs(b, values, position + LANES, threshold, bit)
        store(words, column, a)
        store(words, column + LANES, b)
        column += 2 * LANES
    for rest in range(column, count):
        words[rest] = 0
        for channel in range(len(thresholds)):
            reached = values[start + channel * distance + rest] >= thresholds[channel]
            words[rest] |= uint64(reached) << uint64(channel)
    for column in range(count):
        words[column] ^= flips


@_compiled
def _frame(words, padded, position, border, shape):
    """A plane with a border around it.

    Arguments:
        words: of its pixels, from a position 0 on.
        padded: flat; written from a position on.
        border: the word outside.
        shape: height and width without border, height and width with it, first row and column inside.
    """
    height, width, plane_height, plane_width, top, left = shape
    padded[position : position + plane_height * plane_width] = border
    corner = position + top * plane_width + left
    for row in range(height):
        for column in range(width):
            padded[corner + row * plane_width + column] = words[row * width + column]


@_compiled
def pack_planes(values, thresholds, flipped, border, padded, shape, start, stop):
    """Planes of signs of feature maps, with a border around them; see `pack_rows`.

    Arguments:
        values: flat (B, channels, height, width); float32, int32 or uint8.
        border: uint64, (planes,): the words outside.
        padded: uint64, flat (B, planes, h, w); written.
        shape: see `_frame`.
        start, stop: of the B times planes.
    """
    channels, pixels = len(thresholds), shape[0] * shape[1]
    words = empty(pixels, uint64)
    for index in range(start, stop):
        image, plane = divmod(index, len(border))
        first = plane * _BLOCK
        last = min(first + _BLOCK, channels)
        position = (image * channels + first) * pixels
        pack_rows(values, position, pixels, pixels, thresholds[first:last], flipped[first:last], words)
        _frame(words, padded, index * shape[2] * shape[3], border[plane], shape)


@_compiled
def pad_planes(words, border, padded, shape, start, stop):
    """Planes with a border around them; see `pack_planes`.

    Arguments:
        words: flat (B, planes, height, width).
    """
    pixels = shape[0] * shape[1]
    for index in range(start, stop):
        plane = words[index * pixels : (index + 1) * pixels]
        _frame(plane, padded, index * shape[2] * shape[3], border[index % len(border)], shape)


@_compiled
def pack_vectors(values, threshold, n, words, start, stop):
    """Signs of vectors.

    Arguments:
        values: flat (B, n); float32, int32 or uint8.
        threshold: of the same type: the sign is +1 from there on.
        words: uint64, (B, ceil(n / 64)); written.
        start, stop: of the vectors.
    """
    for row in range(start, stop):
        position = row * n
        for word in range(n // 64):
            words[row, word] = word_of_signs(values, position + 64 * word, threshold)
        if n % 64:
            rest = uint64(0)
            for bit in range(n % 64):
                rest |= uint64(values[position + n - n % 64 + bit] >= threshold) << uint64(bit)
            words[row, n // 64] = rest
