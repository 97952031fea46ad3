"""How long work is reported: `progress(done, total, what)`."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int, str], None]
"""Called as `progress(done, total, what)`: bytes of a download or a hash, tensors of a conversion. A total of 0 is
unknown, as while a model is loaded."""


def silent(done: int, total: int, what: str) -> None:
    """A progress callback that ignores the reports."""
