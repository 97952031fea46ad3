"""What `align` and `resume` print: each answer beside the one it started from, or a table of many."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sea_toolkit.cli.console import Console, styled
from sea_toolkit.cli.explanation import explained
from sea_toolkit.errors import SeaError
from sea_toolkit.reporting.answers import FEW, answers_csv, answers_table, shared_notes
from sea_toolkit.reporting.word_diff import Piece, marked_diff, word_diff
from sea_toolkit.runs.explain import reason
from sea_toolkit.util.files import write_whole
from sea_toolkit.util.printable import printable
from sea_toolkit.util.wording import counted

if TYPE_CHECKING:
    from sea_toolkit.runs.result import Result

BEST = 3
"""Candidates that are shown."""
WIDE = 200
"""Columns of a table that goes to a file or a pipe."""


def print_results(results: list[Result], out: str | Path | None, explain: bool = False) -> None:
    """Each answer (of many prompts a table), its terms before and after, what it cost, and what to know of it."""
    console = Console()
    shared = shared_notes([result.notes for result in results])
    if len(results) > FEW and not explain:
        _print_table(console, results)
    else:
        for result in results:
            console.print(_page(result, console.color_system is not None, explain))
            _print_notes(console, [n for n in result.notes if n not in shared])
    console.print(f"spent: {_spent(results)}", style="dim")
    _print_notes(console, shared)
    if out is not None:
        console.print(styled(f"written to {out}", style="dim"))


def with_explanation(result: Result) -> dict[str, Any]:
    """The result as plain data, with the reasons why its answer won."""
    why = {key: value for key, value in result.explain().to_data().items() if key != "tokens"}  # the result has them
    return {**result.to_dict(), "explanation": why}


def _spent(results: Sequence[Result]) -> str:
    """Of all batches: each has a ledger of its own, which its results share."""
    ledgers = list({id(r.ledger): r.ledger for r in results}.values())
    samples = sum(r.ledger["samples_per_prompt"] for r in results) / len(results)
    flops, seconds = (sum(ledger[key] for ledger in ledgers) for key in ("flops", "seconds"))
    peak = max(ledger["peak_memory_mb"] for ledger in ledgers)
    return f"{samples:.1f} samples per prompt, {flops:.2e} FLOPs, {seconds:.1f} s, peak memory {peak} MB"


def write_table(path: Path, results: Sequence[Result]) -> None:
    """A line per prompt, as CSV.

    Raises:
        SeaError: the file cannot be written.
    """
    try:
        write_whole(path, answers_csv([result.to_dict() for result in results]).encode())
    except OSError as error:
        raise SeaError(f"cannot write {path}: {error.strerror or error}", hint="another --csv") from error


def _print_notes(console: Console, notes: Sequence[str]) -> None:
    for note in dict.fromkeys(notes):
        console.print(styled(f"note: {note}", style="yellow"))


def _print_table(console: Console, results: Sequence[Result]) -> None:
    if not console.is_terminal:
        console.width = WIDE
    titles, rows = answers_table([r.to_dict() for r in results])
    table = Table(box=None, pad_edge=False, expand=True)
    for i, title in enumerate(titles):
        if i < 2:
            table.add_column(title, ratio=2, no_wrap=True, overflow="ellipsis")
        else:
            table.add_column(title, justify="right" if i < len(titles) - 1 else "left")
    for row in rows[:-1]:
        table.add_row(*(printable(cell, one_line=True) for cell in row))
    table.add_section()
    table.add_row(*rows[-1], style="bold")
    console.print(table)
    console.print("whole answers and the notes on each: --json, --csv FILE, or result.json of --out", style="dim")


def _page(result: Result, colored: bool, explain: bool) -> Group:
    first, second = word_diff(result.base_response, result.response)
    texts = Table.grid(expand=True, padding=(0, 1))
    texts.add_column(ratio=1)
    texts.add_column(ratio=1)
    texts.add_row(
        Panel(_text(first, result.finished[0], "strike dim"), title="base answer", border_style="dim"),
        Panel(_text(second, result.finished[1], "bold green"), title="aligned answer", border_style="green"),
    )
    same = result.response == result.base_response
    lines: list[RenderableType] = [styled(result.prompt, "bold"), texts]
    if same:
        lines.append(styled("the aligned answer is the base answer", "dim"))
    elif not colored and any(not new for _, new in second):
        lines.append(styled(f"changed: {marked_diff(result.base_response, result.response)}"))
    why = explained(result.explain(), colored) if explain else _candidates(result)
    lines += [_numbers(result), *why, styled(_method(result), "dim"), Text()]
    return Group(*lines)


def _text(pieces: Sequence[Piece], finished: bool, style: str) -> Text:
    text = Text()
    for piece, changed in pieces:
        text.append_text(styled(piece, style if changed else ""))
    if not pieces:
        text.append_text(styled("(empty)", "dim"))
    return text if finished else text.append_text(styled("…", "yellow"))


def _method(result: Result) -> str:
    steps = f"{counted(result.steps, 'step')}, " if result.steps else ""  # best-of-n may need none; else a note says so
    ended = f"{result.ended} of {counted(len(result.candidates), 'candidate')} ended"
    parts = f"{steps}{counted(len(result.chains), 'chain')}, seed {result.seed} ({result.status})"
    return f"{result.sampler}, {parts}; {counted(result.met, 'text')} met, {ended} by themselves"


def _numbers(result: Result) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("weight", "before", "after", "Δ(weight·term)"):
        table.add_column(name, justify="right")
    table.add_column("")

    def row(name: str, weight: str, pair: tuple[float, float], nats: float | None, up: bool, unit: str) -> None:
        before, after = pair
        style = "" if before == after else "green" if (after > before) == up else "red"
        moved = "" if nats is None else f"{nats:+.3f}"
        table.add_row(
            printable(name, one_line=True),
            weight,
            f"{before:.3f}",
            Text(f"{after:.3f}", style),
            moved,
            Text(unit, "dim"),
        )

    others = ((k, v) for k, v in result.terms.items() if k not in result.rewards and k not in result.limits)
    for label, pair in [*result.rewards.items(), *others]:
        weight, is_reward = result.weights[label], label in result.rewards
        up = is_reward == (weight >= 0)
        kind = "reward" if is_reward else "energy"
        unit = "higher is better" if up else "lower is better"
        row(f"{kind} {label}", f"{weight:g}", pair, result.contributions[label], up, unit)
    for label, reading in result.limits.items():
        style = "green" if reading.kept else "red"
        before, after = ("–" if x is None else f"{x:.3f}" for x in (reading.before, reading.after))
        kept = Text("kept" if reading.kept else "not kept", style)
        table.add_row(printable(f"limit {label}", one_line=True), reading.words, before, Text(after, style), "", kept)
    row("total energy", "", result.energy, result.energy[1] - result.energy[0], False, "lower is better, nats")
    row("−log π per token", "", result.nll_per_token, None, False, "nats")
    return table


def _candidates(result: Result) -> list[RenderableType]:
    """The best few, and why the others were not taken."""
    if len(result.candidates) < 2:
        return []
    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("best candidates", no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column("energy", justify="right")
    table.add_column("why", overflow="fold", ratio=1)
    chosen = result.candidates[0]
    for i, candidate in enumerate(result.candidates[:BEST]):
        lowest = "chosen: the lowest energy" + (" inside the limits" if result.limits and result.kept else "")
        why = lowest if i == 0 else reason(result.weights, chosen, candidate)
        text = printable(candidate.text, one_line=True) + ("" if candidate.finished else "…")
        table.add_row(text, f"{candidate.energy:.2f}", why)
    return [table]
