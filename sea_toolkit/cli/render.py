"""What `align` and `resume` show a person: a live line while they run, then before and after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sea_toolkit.cli.console import Console, styled

if TYPE_CHECKING:
    from sea_toolkit.events import Event
    from sea_toolkit.runs.result import Result


@contextmanager
def live() -> Iterator[tuple[Callable[[Event], None], Callable[[int, int, str], None]]]:
    """A line on stderr with the run's progress and lowest energy, and bars for downloads; nothing where stderr is not a
    terminal."""
    console = Console(err=True)
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    tasks: dict[str, TaskID] = {}

    def update(key: str, done: float, total: float | None, note: str) -> None:
        if key not in tasks:
            tasks[key] = bar.add_task(key, total=total, note=note)
        bar.update(tasks[key], completed=done, total=total, note=note)

    def on_event(event: Event) -> None:
        energy = sum(event.energy) / len(event.energy)
        note = f"step {event.step}  energy {energy:.2f}  {event.samples:.1f} samples"
        update("aligning", 100 * event.progress, 100.0, note)

    def progress(done: int, total: int, what: str) -> None:
        update(what, done, total, f"{done / 1e6:.0f} of {total / 1e6:.0f} MB" if total > 10**6 else "")

    with bar:
        yield on_event, progress


def print_results(results: list[Result], out: str | Path | None) -> None:
    """Base and aligned answer side by side, each term before and after, and what it cost."""
    console = Console()
    for result in results:
        console.print(_page(result))
    ledger = results[0].ledger
    spent = f"{ledger['samples_per_prompt']:.1f} samples per prompt, {ledger['flops']:.2e} FLOPs"
    console.print(f"spent: {spent}, {ledger['seconds']:.1f} s, peak memory {ledger['peak_memory_mb']} MB", style="dim")
    for note in dict.fromkeys(n for r in results for n in r.notes):
        console.print(styled(f"note: {note}", style="yellow"))
    if out is not None:
        console.print(styled(f"written to {out}", style="dim"))


def _page(result: Result) -> Group:
    title = styled(result.prompt, "bold")
    texts = Table.grid(expand=True, padding=(0, 1))
    texts.add_column(ratio=1)
    texts.add_column(ratio=1)
    texts.add_row(
        Panel(styled(result.base_response or "(empty)"), title="base answer", border_style="dim"),
        Panel(styled(result.response or "(empty)"), title="aligned answer", border_style="green"),
    )
    method = f"{result.sampler}, {result.steps} steps, {len(result.chains)} chains, seed {result.seed}"
    return Group(title, texts, _numbers(result), styled(f"{method} ({result.status})", "dim"), Text())


def _numbers(result: Result) -> Table:
    table = Table(box=None, pad_edge=False)
    for name, justify in (("", "left"), ("before", "right"), ("after", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]

    def row(name: str, pair: tuple[float, float], better_up: bool, unit: str) -> None:
        gained = pair[1] > pair[0] if better_up else pair[1] < pair[0]
        style: Any = "green" if gained else "red" if pair[0] != pair[1] else None
        table.add_row(name, f"{pair[0]:.3f}", Text(f"{pair[1]:.3f}", style=style or ""), Text(unit, style="dim"))

    for label, pair in result.rewards.items():
        up = result.weights[label] >= 0
        row(f"reward {label}", pair, up, "higher is better" if up else "lower is better: its weight is negative")
    for label, pair in result.terms.items():
        if label not in result.rewards:
            row(f"energy {label}", pair, False, "lower is better, unweighted")
    row("total energy", result.energy, False, "Σ weight · term, lower is better")
    row("−log π per token", result.nll_per_token, False, "nats")
    return table
