"""What `align`, `resume`, `compare` and `pareto` show a person while they run: a live line."""

from __future__ import annotations

from sea_toolkit.cli.console import Console
from sea_toolkit.cli.interrupt import stop_if_pressed
from sea_toolkit.reporting.bar import Bar
from sea_toolkit.reporting.live import Lines, Live


class _StoppableLive(Live):
    """Ends a run at its next sign of life if something has swallowed a Ctrl-C."""

    def _heard(self) -> None:
        stop_if_pressed()


def live(first: str) -> Live:
    """What shows on stderr how far a run is; `first` at once on a terminal, while torch is imported."""
    console = Console(err=True)
    if not console.is_terminal:
        return _StoppableLive(Lines(console.file, wait=True))
    live = _StoppableLive(Bar(console))
    live.progress(0, 0, first)
    return live
