"""What `--explain` prints below an answer: what decided, the texts that lost term by term, and the tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sea_toolkit.cli.console import styled
from sea_toolkit.runs.explain import name_of
from sea_toolkit.util.printable import printable

if TYPE_CHECKING:
    from sea_toolkit.runs.explanation import AnswerToken, CandidateShare, Explanation

COST = ((6.0, "bold red"), (3.0, "red"), (1.5, "yellow"))
"""−log π from which a token has a style."""

GAIN = 0.25
"""Part of the largest gain or loss in an answer from which a token has a style."""


def explained(found: Explanation, colored: bool) -> list[RenderableType]:
    """The explanation of one answer.

    Args:
        found: see `Result.explain`.
        colored: tokens are shown as a text in colors; else as a table of numbers.
    """
    lines: list[RenderableType] = []
    if found.same:
        lines.append(styled("why: the run met nothing better than the text that it began with"))
    elif found.over_start is not None:
        lines.append(styled(f"why not the first text: {found.over_start.words}"))
    if found.runner_up is not None:
        lines.append(styled(f"why not the second best: {found.runner_up.words}"))
    if len(found.candidates) > 1:
        lines.append(_candidates(found.candidates))
    if found.tokens is None:
        return lines
    before, after = found.tokens
    for title, tokens in (("first text", before), ("answer", after)):
        if title == "answer" or not found.same:
            lines += _colored(title, tokens) if colored else [styled(f"tokens of the {title}"), _tokens(tokens)]
    return [*lines, styled(_legend(after, colored), "dim")]


def _candidates(candidates: Sequence[CandidateShare]) -> Table:
    """Each text's energy, split into the terms that make it up."""
    labels = list(candidates[0].shares)
    limits = list(candidates[0].violations)
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("candidates, energy in nats", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("step", justify="right")
    table.add_column("energy", justify="right")
    for label in labels:
        table.add_column(printable(name_of(label), one_line=True), justify="right")
    for label in limits:
        table.add_column(printable(label, one_line=True), justify="right")
    for c in candidates:
        outside = [
            Text("kept", "green") if v == 0 else Text(f"{v:.2g} σ outside", "red") for v in c.violations.values()
        ]
        shares = [f"{c.shares[label]:+.2f}" for label in labels]
        step = "start" if c.step < 0 else str(c.step)
        table.add_row(printable(c.text, one_line=True), step, f"{c.energy:.2f}", *shares, *outside)
    return table


def _tokens(tokens: Sequence[AnswerToken]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("token")
    table.add_column("−log π", justify="right")
    labels = list(tokens[0].gains) if tokens else []
    for label in labels:
        table.add_column(f"gain {printable(label, one_line=True)}", justify="right")
    for t in tokens:
        gains = [f"{t.gains[label]:+.3f}" for label in labels]
        table.add_row(printable(t.text, one_line=True), f"{-t.log_prob:.2f}", *gains)
    return table


def _colored(title: str, tokens: Sequence[AnswerToken]) -> list[RenderableType]:
    """The text once for −log π and once for each reward, its tokens in the colors of `_legend`."""
    cost = Text()
    for t in tokens:
        cost.append_text(styled(t.text, next((style for least, style in COST if -t.log_prob >= least), "")))
    lines: list[RenderableType] = [styled(f"{title}, −log π", "bold"), cost]
    for label in tokens[0].gains if tokens else ():
        largest = max(abs(t.gains[label]) for t in tokens)
        text = Text()
        for t in tokens:
            strong = abs(t.gains[label]) >= GAIN * largest > 0
            text.append_text(styled(t.text, ("green" if t.gains[label] > 0 else "red") if strong else ""))
        lines += [styled(f"{title}, {label} (at most {largest:.2f} nats a token)", "bold"), text]
    return lines


def _legend(tokens: Sequence[AnswerToken], colored: bool) -> str:
    gains = " gain: nats that a token brings, to first order, beside what the policy would write there." if any(
        t.gains for t in tokens
    ) else " what a token brings is told of terms with a gradient, by a run with --explain."  # fmt: skip
    if not colored:
        return f"−log π in nats;{gains}"
    steps = ", ".join(
        f"{style.split()[-1]}{' bold' if 'bold' in style else ''} from {least:g}" for least, style in COST[::-1]
    )
    return f"−log π in nats: {steps};{gains} green brings, red costs"
