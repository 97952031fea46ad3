"""What `align` and `resume` show a person while they run: a live line."""

from __future__ import annotations

from sea_toolkit.cli.console import Console
from sea_toolkit.reporting.bar import Bar
from sea_toolkit.reporting.live import Lines, Live


def live(first: str) -> Live:
    """What shows on stderr how far a run is; `first` at once on a terminal, while torch is imported."""
    console = Console(err=True)
    if not console.is_terminal:
        return Live(Lines(console.file, wait=True))
    live = Live(Bar(console))
    live.progress(0, 0, first)
    return live
