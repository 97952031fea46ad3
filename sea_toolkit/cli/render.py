"""What `align` and `resume` show a person while they run: a live line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from sea_toolkit.cli.console import Console

if TYPE_CHECKING:
    from sea_toolkit.events import Event


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
