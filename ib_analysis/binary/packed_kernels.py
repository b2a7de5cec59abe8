"""Compiled products of packed signs: patches, product and thresholds of a convolution, and a dense product.

The columns of a product (pixels of a convolution, outputs of a dense layer) come in panels of `PANEL`, whose words lie
beside each other; a tile of 4 rows by two vectors of columns stays in registers while the words of a row are counted.
A panel of patches is made when it is multiplied and never leaves the first cache.

All functions release the interpreter's lock, and each does a range of its work, so that threads can share it.
Needs numba; `packed_means` asks whether it is there. What numba has compiled it keeps until this file changes: whoever
changes `packed_lanes` or `packed_comparison` empties the __pycache__ beside it.
"""

from __future__ import annotations

from numba import njit
from numpy import empty, int32, uint64, zeros

from ib_analysis.binary.packed_comparison import pack_planes, pack_rows, pack_vectors, pad_planes
from ib_analysis.binary.packed_lanes import (
    LANES,
    add_differing,
    add_shifted,
    broadcast,
    load,
    store,
    store_products,
    zero,
)

__all__ = ["PANEL", "convolve", "convolve_to_signs", "multiply", "pack_planes", "pack_vectors", "pad_planes"]

PANEL = 2 * LANES
"""Columns: two vectors."""
_BLOCK = 64
"""Rows whose products become one word of signs."""

_compiled = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _tile_of_four(rows, row, panel, start, column, n, out, position, distance):
    """Products of 4 rows and two vectors of columns, into out from a position on, rows at a distance."""
    first, second = start + column, start + column + LANES
    a, b, c, d = zero(), zero(), zero(), zero()
    e, f, g, h = zero(), zero(), zero(), zero()
    for word in range(rows.shape[1]):
        left, right = load(panel, first), load(panel, second)
        w = broadcast(rows[row, word])
        a, e = add_differing(a, left, w), add_differing(e, right, w)
        w = broadcast(rows[row + 1, word])
        b, f = add_differing(b, left, w), add_differing(f, right, w)
        w = broadcast(rows[row + 2, word])
        c, g = add_differing(c, left, w), add_differing(g, right, w)
        w = broadcast(rows[row + 3, word])
        d, h = add_differing(d, left, w), add_differing(h, right, w)
        first, second = first + PANEL, second + PANEL
    store_products(out, position, n, a)
    store_products(out, position + LANES, n, e)
    store_products(out, position + distance, n, b)
    store_products(out, position + distance + LANES, n, f)
    store_products(out, position + 2 * distance, n, c)
    store_products(out, position + 2 * distance + LANES, n, g)
    store_products(out, position + 3 * distance, n, d)
    store_products(out, position + 3 * distance + LANES, n, h)


@_compiled
def _tile_of_one(rows, row, panel, start, column, n, out, position):
    """Products of one row and two vectors of columns."""
    first, second = start + column, start + column + LANES
    a, b = zero(), zero()
    for word in range(rows.shape[1]):
        w = broadcast(rows[row, word])
        a, b = add_differing(a, load(panel, first), w), add_differing(b, load(panel, second), w)
        first, second = first + PANEL, second + PANEL
    store_products(out, position, n, a)
    store_products(out, position + LANES, n, b)


@_compiled
def _panel_products(rows, first, last, panel, start, n, out, position, distance):
    """Products of rows[first:last] and a panel, whose words begin at a start.

    Row r of them goes to out[position + (r - first) distance] and what follows.
    """
    row = first
    while row + 4 <= last:
        for column in range(0, PANEL, 2 * LANES):
            _tile_of_four(rows, row, panel, start, column, n, out, position + column, distance)
        row, position = row + 4, position + 4 * distance
    while row < last:
        for column in range(0, PANEL, 2 * LANES):
            _tile_of_one(rows, row, panel, start, column, n, out, position + column)
        row, position = row + 1, position + distance


@_compiled
def _fill_panel(padded, origins, along, places, panel):
    """The words of a panel of patches.

    Arguments:
        padded: planes, flat.
        origins: of each column, where the upper left pixel of its patch lies in plane 0.
        along: whether each vector of columns lies beside each other in the planes.
        places: int64, (number of places, 3): word (none is left out, none comes back), distance from the origin, shift.
        panel: flat, (words, PANEL); written.
    """
    if along:
        for column in range(0, PANEL, LANES):
            origin, total, previous = origins[column], zero(), places[0, 0]
            for index in range(len(places)):
                word = places[index, 0]
                if word != previous:
                    store(panel, previous * PANEL + column, total)
                    total, previous = zero(), word
                total = add_shifted(total, load(padded, origin + places[index, 1]), uint64(places[index, 2]))
            store(panel, previous * PANEL + column, total)
        return
    panel[:] = 0
    for index in range(len(places)):
        position, distance, shift = places[index, 0] * PANEL, places[index, 1], uint64(places[index, 2])
        for column in range(PANEL):
            panel[position + column] |= padded[origins[column] + distance] << shift


@_compiled
def _place_columns(first, n_columns, step, shape, values, origins, targets):
    """Where each column of a panel comes from and goes to; those beyond the end come from the first patch of all.

    Not from the last one: a whole vector is read where a column begins, which would reach beyond the planes.

    Arguments:
        step: 1, or a number of columns of which only the first is asked for; it divides the width.
        shape: of an image: words of its planes, width of a plane, output height and width, stride down and across.
        values: of an image's output.
        origins: see `_fill_panel`; written.
        targets: of each column, its place in the output of channel 0; written, but not of those beyond the end.
    """
    words, plane_width, height, width, down, across = shape
    image, pixel = divmod(first, height * width)
    y, x = divmod(pixel, width)
    for column in range(0, PANEL, step):
        if first + column >= n_columns:
            origins[column] = 0
            continue
        origins[column] = image * words + y * down * plane_width + x * across
        targets[column] = image * values + y * width + x
        x += step
        if x == width:
            y, x = y + 1, 0
            if y == height:
                image, y = image + 1, 0


@_compiled
def convolve(padded, shape, places, rows, n, out, start, stop):
    """Products of all rows with the panels from start to stop.

    Arguments:
        padded: planes with their padding, uint64, flat.
        shape: see `_place_columns`.
        places: see `_fill_panel`.
        rows: weights, uint64, (M, words of a patch).
        n: signs in a patch.
        out: int32, flat (B, M, oh, ow); written.
    """
    height, width, across = shape[2], shape[3], shape[5]
    pixels = height * width
    n_columns = len(out) // len(rows)
    panel = empty(rows.shape[1] * PANEL, uint64)
    products = empty(4 * PANEL, int32)
    origins, targets = zeros(PANEL, int32), zeros(PANEL, int32)
    along, whole = width % LANES == 0 and across == 1, pixels % PANEL == 0
    for index in range(start, stop):
        first = index * PANEL
        _place_columns(first, n_columns, LANES if along and whole else 1, shape, len(rows) * pixels, origins, targets)
        _fill_panel(padded, origins, along, places, panel)
        if whole:
            _panel_products(rows, 0, len(rows), panel, 0, n, out, targets[0], pixels)
            continue
        columns = min(PANEL, n_columns - first)
        for row in range(0, len(rows), 4):
            last = min(row + 4, len(rows))
            _panel_products(rows, row, last, panel, 0, n, products, 0, PANEL)
            for at in range(row, last):
                for column in range(columns):
                    out[targets[column] + at * pixels] = products[(at - row) * PANEL + column]


@_compiled
def convolve_to_signs(padded, shape, places, rows, n, thresholds, flipped, out, start, stop):
    """As `convolve`, and compares each product with a threshold of its row.

    Arguments:
        thresholds: int32, (M,): the sign is +1 from there on.
        flipped: uint64, (M,), 1 where it is -1 from there on.
        out: planes, uint64, flat (B, ceil(M / 64), oh, ow); written.
    """
    height, width, across = shape[2], shape[3], shape[5]
    pixels = height * width
    planes = -(-len(rows) // _BLOCK)
    n_columns = len(out) // planes
    panel = empty(rows.shape[1] * PANEL, uint64)
    products = empty(_BLOCK * PANEL, int32)
    words = empty(PANEL, uint64)
    origins, targets = zeros(PANEL, int32), zeros(PANEL, int32)
    along = width % LANES == 0 and across == 1
    for index in range(start, stop):
        first = index * PANEL
        _place_columns(first, n_columns, 1, shape, planes * pixels, origins, targets)
        _fill_panel(padded, origins, along, places, panel)
        columns = min(PANEL, n_columns - first)
        for plane in range(planes):
            row = plane * _BLOCK
            last = min(row + _BLOCK, len(rows))
            _panel_products(rows, row, last, panel, 0, n, products, 0, PANEL)
            pack_rows(products, 0, PANEL, PANEL, thresholds[row:last], flipped[row:last], words)
            for column in range(columns):
                out[targets[column] + plane * pixels] = words[column]


@_compiled
def multiply(rows, panels, n, out, start, stop):
    """Products of all rows with panels of columns.

    Arguments:
        rows: uint64, (M, K).
        panels: uint64, flat (panels, K, PANEL).
        n: signs in a row.
        out: int32, flat (M, panels PANEL); written.
        start, stop: of the panels.
    """
    distance = len(out) // len(rows)
    for index in range(start, stop):
        start_of_panel = index * rows.shape[1] * PANEL
        _panel_products(rows, 0, len(rows), panels, start_of_panel, n, out, index * PANEL, distance)
