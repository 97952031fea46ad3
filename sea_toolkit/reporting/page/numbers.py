"""Small parts that all pages share: texts in pieces, tables, and what a run has cost."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sea_toolkit.reporting.page.render import number
from sea_toolkit.reporting.word_diff import Piece, word_diff
from sea_toolkit.util.toml_text import document

Data = Mapping[str, Any]

HEAD = 240
"""Characters of a prompt or an answer where it stands among others."""


def both_texts(before: str, after: str, finished: Sequence[bool]) -> list[dict[str, Any]]:
    """The base answer and the answer, each in pieces with the words that the other lacks."""
    titles = ("Base answer", "Aligned answer")
    return [
        {"title": title, "pieces": tidy(pieces), "tag": tag, "finished": ended}
        for title, pieces, tag, ended in zip(titles, word_diff(before, after), ("del", "ins"), finished, strict=True)
    ]


def tidy(pieces: Sequence[Piece]) -> list[Piece]:
    """The same pieces, with the white space after a changed one outside of it."""
    return [
        part
        for text, changed in pieces
        for part in ([(text.rstrip(), True), (text[len(text.rstrip()) :], False)] if changed else [(text, False)])
        if part[0]
    ]


def text_of(prompt: Any) -> str:
    """The user's last turn, of plain data."""
    return str(prompt if isinstance(prompt, str) else prompt[-1]["content"])


def statements(pairs: Sequence[Data], said: Sequence[str]) -> list[dict[str, str]]:
    """What differs, with its verdict."""
    return [{"verdict": pair["verdict"], "text": text} for pair, text in zip(pairs, said, strict=True)]


def settings(report: Data) -> dict[str, Any]:
    """How a report of several runs was made: command, recipe, methods and versions."""
    return {
        "command": report["command"],
        "recipe": document(report["recipe"]),
        "methods": json.dumps(report["methods"], indent=2, ensure_ascii=False),
        "versions": json.dumps(report["versions"], indent=2, ensure_ascii=False),
    }


def table(titles: Sequence[str], rows: Sequence[Sequence[Any]], caption: str, words: int = 1) -> dict[str, Any]:
    """A table.

    Args:
        titles: of its columns.
        rows: of cells.
        caption: what it shows, for those who do not see it.
        words: the first so many columns hold words, the others numbers.
    """
    return {"titles": titles, "rows": rows, "caption": caption, "words": words, "last": None}


def cost_table(ledger: Data) -> dict[str, Any]:
    """Tokens and FLOPs of each model."""
    rows = [
        [name, f"{entry['forward']:,}", f"{entry['backward']:,}", f"{entry['flops']:.2e}"]
        for name, entry in ledger["models"].items()
    ]
    rows.append(["all", "", "", f"{ledger['flops']:.2e}"])
    return table(["model", "tokens forward", "tokens backward", "FLOPs"], rows, "What each model has read")


def cost_cards(ledger: Data) -> list[tuple[str, str]]:
    """What the whole run has cost."""
    return [
        ("samples per prompt", number(ledger["samples_per_prompt"], ".1f")),
        ("FLOPs", f"{ledger['flops']:.2e}"),
        ("seconds", number(ledger["seconds"], ",.1f")),
        ("peak memory", f"{ledger['peak_memory_mb']:,} MB"),
    ]


def arrow(pair: Data, form: str = ".3f") -> str:
    """`1.204 → 3.710`."""
    return " → ".join(number(pair[when], form) for when in ("before", "after"))
