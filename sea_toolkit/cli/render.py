"""What `align`, `resume` and `compare` show a person while they run: a live line."""

from __future__ import annotations

from sea_toolkit.cli.console import Console
from sea_toolkit.cli.interrupt import stop_if_pressed
from sea_toolkit.events import Event
from sea_toolkit.reporting.bar import Bar
from sea_toolkit.reporting.live import Lines, Live


class _StoppableLive(Live):
    """Ends a run at its next sign of life if something has swallowed a Ctrl-C."""

    def on_event(self, event: Event) -> None:
        if event.kind != "end":  # then it is over anyway
            stop_if_pressed()
        super().on_event(event)

    def watch(self, done: float, total: float, what: str) -> None:
        stop_if_pressed()
        super().watch(done, total, what)


def live(first: str) -> Live:
    """What shows on stderr how far a run is; `first` at once on a terminal, while torch is imported."""
    console = Console(err=True)
    if not console.is_terminal:
        return _StoppableLive(Lines(console.file, wait=True))
    live = _StoppableLive(Bar(console))
    live.progress(0, 0, first)
    return live
