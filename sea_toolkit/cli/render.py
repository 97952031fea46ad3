"""What `align` and `resume` show a person: a live line while they run, then before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sea_toolkit.cli.console import Console, styled
from sea_toolkit.reporting.bar import Bar
from sea_toolkit.reporting.live import Lines, Live

if TYPE_CHECKING:
    from sea_toolkit.runs.result import Result


def live(first: str) -> Live:
    """What shows on stderr how far a run is; `first` at once on a terminal, while torch is imported."""
    console = Console(err=True)
    if not console.is_terminal:
        return Live(Lines(console.file, wait=True))
    live = Live(Bar(console))
    live.progress(0, 0, first)
    return live


def print_results(results: list[Result], out: str | None) -> None:
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
