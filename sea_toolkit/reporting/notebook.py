"""One result as Python shows it: five lines for a prompt, and HTML for a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sea_toolkit.reporting.answers import Answer
from sea_toolkit.reporting.word_diff import Piece, word_diff
from sea_toolkit.util.printable import printable

WIDTH = 100
"""Most characters of a text in one line."""

TOP = 3
"""Candidates that are shown."""


def five_lines(answer: Answer) -> str:
    """What was asked, both answers, what changed in numbers, and where the rest is."""
    steps = f"{answer['steps']} step" + ("" if answer["steps"] == 1 else "s")
    more = [_many(len(answer[key]), key) for key in ("candidates", "notes") if answer[key]]
    lines = [
        f"Result of {_quoted(answer['prompt'])}: {answer['sampler']}, {steps}, {answer['status']}",
        f"  base:    {_quoted(answer['base_response'])}",
        f"  aligned: {_quoted(answer['response'])}",
        "  " + _shorter(" · ".join(f"{name} {_arrow(pair)}" for name, pair in _numbers(answer))),
        "  " + ", ".join(more),
    ]
    return "\n".join(lines)


def as_html(answer: Answer) -> str:
    """Both answers with the words that differ, each term, the best candidates and the notes; all text is escaped."""
    before, after = word_diff(answer["base_response"], answer["response"])
    texts = _table(["base", "aligned"], [[_marked(before, "del"), _marked(after, "ins")]])
    terms = [
        [escape(printable(label)), f"{answer['weights'][label]:g}", *map(_number, pair.values())]
        for label, pair in answer["terms"].items()
        if label not in answer["limits"]
    ]
    terms += [
        [escape(printable(label)), _ends(reading), _number(reading["before"]), _number(reading["after"])]
        for label, reading in answer["limits"].items()
    ]
    totals = [["<b>energy</b>", "", *map(_number, answer["energy"].values())]]
    totals += [["−log π per token", "", *map(_number, answer["nll_per_token"].values())]]
    candidates = [[_number(c["energy"]), _text(c["text"])] for c in answer["candidates"][:TOP]]
    notes = "".join(f"<li>{_text(note)}</li>" for note in answer["notes"])
    best = f"best {len(candidates)} of {len(answer['candidates'])} candidates"
    head = f"{answer['sampler']}, {answer['steps']} steps, seed {answer['seed']} ({answer['status']})"
    return (
        f"<div><p><b>{_text(answer['prompt'])}</b><br>{_text(head)}</p>{texts}"
        f"{_table(['term (lower is better)', 'weight', 'base', 'aligned'], terms + totals)}"
        f"{_table(['energy', best], candidates)}"
        f"{f'<ul>{notes}</ul>' if notes else ''}</div>"
    )


def _numbers(answer: Answer) -> list[tuple[str, dict[str, float | None]]]:
    rewards = [(f"reward {printable(label, one_line=True)}", pair) for label, pair in answer["rewards"].items()]
    return [*rewards, ("energy", answer["energy"]), ("−log π per token", answer["nll_per_token"])]


def _ends(reading: Answer) -> str:
    """What is allowed, and whether the answer is inside."""
    ends = " and ".join(f"{end} = {reading[end]:g}" for end in ("min", "max") if reading[end] is not None)
    return f"{ends} ({'kept' if reading['kept'] else 'not kept'})"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<table style="text-align: left"><tr>{head}</tr>{body}</table>'


def _marked(pieces: Sequence[Piece], tag: str) -> str:
    return "".join(f"<{tag}>{_text(text)}</{tag}>" if changed else _text(text) for text, changed in pieces) or "(empty)"


def _text(text: str) -> str:
    return escape(printable(text)).replace("\n", "<br>")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _arrow(pair: dict[str, float | None]) -> str:
    return " → ".join(map(_number, pair.values()))


def _many(count: int, what: str) -> str:
    return f"{count} in .{what}"


def _quoted(text: str) -> str:
    return f"'{_shorter(printable(text, one_line=True))}'"


def _shorter(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
