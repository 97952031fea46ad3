"""A figure as part of a page: small SVG that takes its colors from the page, light or dark."""

from __future__ import annotations

import hashlib
import re
from typing import Any
from xml.etree import ElementTree

from sea_toolkit.reporting.plots import Paint, image
from sea_toolkit.util.printable import printable

INK = "#010203"
"""Stands for the color of the page's text; a figure draws nothing else in it."""

SERIES = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf")
"""Colors C0 to C9 of matplotlib, for which the page has variables `--c0` to `--c9`."""

_STYLE = {
    "svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.alpha": 0.15,
    "xtick.major.size": 0, "ytick.major.size": 0, "legend.frameon": False, "font.size": 9, "lines.linewidth": 1.3,
    "lines.markersize": 4,
    **dict.fromkeys(
        ["text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color", "ytick.color",
         "xtick.labelcolor", "ytick.labelcolor", "grid.color"],
        INK,
    ),
}  # fmt: skip
_COLORS = {INK: "currentColor", **{color: f"var(--c{i})" for i, color in enumerate(SERIES)}}
_COLOR = re.compile("|".join(_COLORS))
_LONG = re.compile(r"-?\d+\.\d{2,}")
_GRID = "stroke: currentColor; stroke-opacity: 0.1; stroke-width: 0.8"
_NEEDLESS = re.compile(r"(font-family: [^;]+|stroke-line(cap|join): \w+|font-size: 9px|fill: none)(; |$)")
"""Styles that the page gives to all figures."""


def figure_svg(data: dict[str, Any], paint: Paint, title: str) -> str:
    """An `<svg>` element for a page.

    What matplotlib writes is read as XML and written again without what a page has no use for: names of fonts, ids that
    nothing refers to, shapes without color, decimals below a tenth of a point. Half of it is left.

    Args:
        data: what is drawn.
        paint: how.
        title: what it shows, for those who do not see it, and for the page's tooltip.
    """
    title = printable(title, one_line=True)
    salt = hashlib.sha256(f"{title} {data!r}".encode(errors="surrogatepass")).hexdigest()[:12]
    metadata = {"Title": title, **dict.fromkeys(["Date", "Creator", "Format", "Type"])}
    style = {**_STYLE, "svg.hashsalt": salt}  # ids differ from those of the page's other figures
    root = ElementTree.fromstring(image(data, "svg", paint, style, transparent=True, metadata=metadata))
    used = set(re.findall(r"#([\w-]+)", " ".join(v for e in root.iter() for k, v in e.attrib.items() if k != "style")))
    for element in root.iter():
        _clean(element, used)
    _prune(root)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    return ElementTree.tostring(root, encoding="unicode")


def _prune(parent: ElementTree.Element) -> None:
    """Leave out what cannot be seen, and the style sheet, which would be one for the whole page; lift what stands in a
    group that says nothing."""
    children = list(parent)
    for child in children:
        _prune(child)
    kept: list[ElementTree.Element] = []
    for child in children:
        if child.tag in ("metadata", "style") or child.attrib.get("style") == "":
            continue
        if child.tag in ("g", "defs") and not child.attrib and (child.tag == "g" or not len(child)):
            kept += list(child)
        else:
            kept.append(child)
    parent[:] = kept


def _clean(element: ElementTree.Element, used: set[str]) -> None:
    element.tag = _name(element.tag)
    element.attrib = {
        _name(key): _value(value)
        for key, value in element.attrib.items()
        if not (key == "id" and value not in used) and not (key == "transform" and value.startswith("rotate(-0 "))
    }
    style = element.attrib.get("style")
    if style == _GRID:
        element.attrib = {"class": "grid", "d": element.attrib["d"]}
    elif element.tag == "text" and style is not None:
        element.attrib["style"] = style.removesuffix("; fill: currentColor")
    if set(re.findall("[A-Za-z]", path := element.attrib.get("d", ""))) <= {"M", "L"}:
        element.attrib |= {"d": path.replace(" L ", " ")} if path else {}  # lines are what follows a move anyway
    if element.text is not None and not element.text.strip():
        element.text = None
    element.tail = None


def _name(tag: str) -> str:
    return tag.rpartition("}")[2]


def _value(value: str) -> str:
    shown = _LONG.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), value)
    shown = _COLOR.sub(lambda color: _COLORS[color[0]], _NEEDLESS.sub("", shown))
    return " ".join(shown.split()).removesuffix(";")
