"""A text as a map of heat: a cell for each of its tokens."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

COST = (0.25, 0.75, 1.5, 2.5, 4.0, 6.0, 9.0)
"""−log π in nats from which a token is one shade darker."""

KL = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""The same for the divergence of the tilted policy."""

SHADES = 4
"""Shades of a gain, and of a loss."""

LEAST = 0.005
"""Nats below which the gains of a text are not shown."""

FEW = 5
"""Tokens that are told in words."""

Token = dict[str, Any]
"""One of `tokens` in `result.json`."""


def heat_maps(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """The maps of a text: one of −log π and, where the run was asked to explain, one of the tilted policy's divergence
    and one of each term's gains. Each has a title, cells and a legend.

    Args:
        tokens: of the text.
    """
    maps = [_map("−log π", "cost", [_minus(t["log_prob"]) for t in tokens], tokens, COST)]
    if any(t["kl"] is not None for t in tokens):
        maps.append(
            _map("KL to the policy of the policy that the rewards tilt", "kl", [t["kl"] for t in tokens], tokens, KL)
        )
    for label in tokens[0]["gains"] if tokens else ():
        maps.append(_gains(label, [t["gains"][label] for t in tokens], tokens))
    return maps


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _map(
    title: str, kind: str, values: Sequence[float | None], tokens: Sequence[Token], steps: Sequence[float]
) -> dict[str, Any]:
    shades = [len(steps) if v is None else bisect.bisect_right(steps, v) for v in values]
    cells = _cells(kind, shades, values, tokens)
    legend = [(f"{kind}{i}", f"{low:g}") for i, low in enumerate([0.0, *steps])]
    known = [v for v in values if v is not None]
    total = f"{sum(known):.1f} nats over {len(tokens)} tokens" if known else ""
    return {"title": title, "cells": cells, "legend": legend, "said": [total, _extremes("most", values, tokens)]}


def _gains(label: str, values: Sequence[float | None], tokens: Sequence[Token]) -> dict[str, Any]:
    known = [v for v in values if v is not None]
    largest = max((abs(v) for v in known), default=0.0)
    title = f"What each token gains of {label}, to first order"
    if largest < LEAST:
        return {"title": title, "cells": [], "legend": [], "said": [f"less than {LEAST:g} nats a token"]}
    scaled = [0 if v is None else round(SHADES * v / largest) for v in values]
    legend = [(f"gain{i}", f"{largest * i / SHADES:+.2f}".replace("-", "−")) for i in (-SHADES, 0, SHADES)]
    cells = _cells("gain", scaled, values, tokens)
    said = [_extremes("most", values, tokens), _extremes("least", values, tokens)]
    return {"title": title, "cells": cells, "legend": legend, "said": said}


def _cells(
    kind: str, shades: Sequence[int], values: Sequence[float | None], tokens: Sequence[Token]
) -> list[dict[str, str]]:
    return [
        {
            "shade": f"{kind}{shade}",
            "text": token["text"].replace("\n", "↵\n") or "■",
            "tip": "not finite" if value is None else format(value, ".2f"),
        }
        for token, shade, value in zip(tokens, shades, values, strict=True)
    ]


def _extremes(which: str, values: Sequence[float | None], tokens: Sequence[Token]) -> str:
    """The "most" above 0, or the "least" below, for those who see no colors and point at nothing."""
    sign = 1.0 if which == "most" else -1.0
    known = ((sign * v, t["text"].strip() or "■") for v, t in zip(values, tokens, strict=True) if v is not None)
    ranked = sorted((one for one in known if one[0] > LEAST), reverse=True)[:FEW]
    shown = ", ".join(f"{text} {'−' if sign < 0 else ''}{value:.2f}" for value, text in ranked)
    return f"{which}: {shown}" if shown else ""
