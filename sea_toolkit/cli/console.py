"""Tables and styled text for people; no character of anybody's text is a command to the terminal."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text

from sea_toolkit.cli.output import as_written, has_colors, results_stream
from sea_toolkit.util.printable import printable


class Console(rich.console.Console):
    """rich's, for text of others: markup and emoji names stay as written, control characters show as escapes.

    Args:
        err: print to stderr, instead of where results go.
    """

    def __init__(self, *, err: bool = False) -> None:
        # without a word on the color system, rich writes bold and dim under NO_COLOR too
        super().__init__(
            file=None if err else results_stream(),
            stderr=err,
            markup=False,
            emoji=False,
            highlight=False,
            color_system="auto" if has_colors() else None,
        )

    def render_str(self, text: str, **how: Any) -> Text:
        """A text in a cell or a line, as it can be shown here."""
        return super().render_str(self._shown(text), **how)

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Everything passes here, once more for what is no `str`."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(self._shown(segment.text), segment.style)

    def prose(self, text: str, style: str = "") -> None:
        """Print paragraphs, on a terminal folded between words; lines that are indented stay as they are."""
        for line in self._shown(text).split("\n"):
            as_it_is = not self.is_terminal or line.startswith(" ")
            for part in [line] if as_it_is else fold(line, self.width) or [""]:
                self.print(styled(part, style), soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """The reader has gone: for the command to end."""
        raise BrokenPipeError(errno.EPIPE, "the reader has gone")

    def _shown(self, text: str) -> str:
        return as_written(printable(text), self.file)  # before the layout, which counts columns


def fold(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, broken at spaces alone: what is longer may be a name, and is for copying."""
    lines: list[str] = []
    for word in text.split():
        if lines and cell_len(lines[-1]) + 1 + cell_len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def styled(text: str, style: str = "") -> Text:
    """Text with a style; rich's own `Text` drops some control characters, here they show."""
    return Text(printable(text), style=style)
