"""Progress on a terminal: a bar for each thing that goes on, and the best answer so far below."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text


class _Bars(Progress):
    """Bars with a line of text below."""

    text = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.text:
            yield Text(self.text, style="dim", no_wrap=True, overflow="ellipsis")


class Bar:
    """A `Display` on a terminal; it is gone when the work is done.

    Args:
        console: of the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._bars = _Bars(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[note]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,  # it stays where it goes
        )
        self._tasks: dict[str, TaskID] = {}
        self._bars.start()

    def show(self, what: str, done: float, total: float, note: str, text: str) -> None:
        """See `Display`."""
        if what not in self._tasks:
            for before in self._tasks.values():  # what went before is over
                self._bars.remove_task(before)
            self._tasks = {what: self._bars.add_task(what, total=None, note="")}
        self._bars.text = text
        self._bars.update(self._tasks[what], completed=done, total=total or None, note=note)

    def close(self) -> None:
        """See `Display`."""
        self._bars.stop()
