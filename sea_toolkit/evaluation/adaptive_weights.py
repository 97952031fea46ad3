"""Where an adaptive sweep puts its next weights: the middles of the widest gaps of the average front."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from sea_toolkit.evaluation.front_geometry import Points
from sea_toolkit.evaluation.weight_designs import Weights

Cell = tuple[Weights, ...]
Edge = tuple[Weights, Weights]


def next_weights(tried: Sequence[Weights], points: Points, most: int) -> list[Weights]:
    """The vectors that halve the widest gaps of the average front.

    The simplex of weights is cut into simplices with the tried vectors as their corners. A gap is the distance between
    the points of two corners that share an edge; the middle of the widest one becomes a new vector, and cuts the
    simplices that it belongs to in two (longest-edge bisection, in the space of the objectives). What a new vector will
    give is taken to be halfway between until it is run.

    Args:
        tried: the corners, the middle, then what this function gave before, in that order.
        points: `[n, K]`, what the tried vectors gave, in units that may be compared.
        most: how many to give.
    """
    objectives = len(tried[0])
    known = {vector: points[i] for i, vector in enumerate(tried)}
    corners, middle = tuple(tried[:objectives]), tried[objectives]
    cells = [(*corners[:k], middle, *corners[k + 1 :]) for k in range(objectives)]
    for vector in tried[objectives + 1 :]:
        cells = _cut(cells, _edge_with(cells, vector), vector)
    new: list[Weights] = []
    while len(new) < most:
        edges = dict.fromkeys(_sorted_pair(a, b) for cell in cells for a, b in itertools.combinations(cell, 2))
        gaps = {edge: float(np.linalg.norm(known[edge[0]] - known[edge[1]])) for edge in edges}
        edge = max(gaps, key=lambda e: (round(gaps[e], 12), e))
        if gaps[edge] <= 0:
            break
        vector = _middle(*edge)
        known[vector] = (known[edge[0]] + known[edge[1]]) / 2
        cells = _cut(cells, edge, vector)
        new.append(vector)
    return new


def _sorted_pair(a: Weights, b: Weights) -> Edge:
    return (a, b) if a < b else (b, a)


def _middle(a: Weights, b: Weights) -> Weights:
    return tuple((x + y) / 2 for x, y in zip(a, b, strict=True))


def _edge_with(cells: Sequence[Cell], vector: Weights) -> Edge:
    """The edge that a vector is the middle of."""
    edges = (_sorted_pair(a, b) for cell in cells for a, b in itertools.combinations(cell, 2))
    return next(edge for edge in edges if _middle(*edge) == vector)


def _cut(cells: Sequence[Cell], edge: Edge, vector: Weights) -> list[Cell]:
    """The cells, those with this edge cut in two at the vector."""
    cut: list[Cell] = []
    for cell in cells:
        if edge[0] in cell and edge[1] in cell:
            cut += [tuple(vector if corner == end else corner for corner in cell) for end in edge]
        else:
            cut.append(cell)
    return cut
