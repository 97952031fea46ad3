"""Where commands print: results on standard output, through a handle that nobody else has; the rest on stderr.

While a command runs, file descriptor 1, and with it `sys.stdout`, leads to stderr. So whatever a plugin, a thread, a
subprocess or a library prints, at whatever moment until the process ends, standard output holds the command's results
alone.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TextIO

import click

from sea_toolkit.errors import SeaError
from sea_toolkit.util.printable import printable, safe_json

READABLE = "sea_toolkit.readable"
"""Error handler of codecs: our own signs in words, any other character that a stream cannot write as an escape."""

_IN_WORDS = {
    "−": "-", "–": "-", "—": "-", "…": "...", "·": "*", "×": "x", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "±": "+-",
    "π": "pi", "Σ": "sum", "λ": "lambda", "Δ": "delta", "∞": "inf", "‘": "'", "’": "'", "“": '"', "”": '"',
}  # fmt: skip


def _in_words(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    first = error.object[error.start]
    if first in _IN_WORDS:
        return _IN_WORDS[first], error.start + 1
    escaped = UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    return codecs.backslashreplace_errors(escaped)


codecs.register_error(READABLE, _in_words)


@dataclass(eq=False)
class _Taken:
    """What a command has taken: the handle for its results, and how to put things back."""

    results: TextIO | None  # None: standard output is closed
    before: TextIO | None  # what `sys.stdout` was
    instead: TextIO | None  # what `sys.stdout` is now
    owns_descriptor: bool

    def put_back(self) -> None:
        if self.owns_descriptor and self.results is not None:
            with contextlib.suppress(OSError, ValueError, AttributeError):  # a plugin has closed or removed it
                sys.stdout.flush()  # what was printed past the command belongs on stderr
            os.dup2(self.results.fileno(), 1)
            with contextlib.suppress(OSError):  # a full disk or a closed pipe has been reported
                self.results.close()
        if sys.stdout is self.instead:
            sys.stdout = self.before


_taken: list[_Taken] = []


def prepare_streams() -> None:
    """Let every stream write every text, and no file that is opened later be called 0, 1 or 2."""
    put_back()  # a command that ran before in this process
    with contextlib.suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:  # the lowest that is free
            os.set_inheritable(descriptor, True)
        os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=READABLE)


@contextlib.contextmanager
def results_only() -> Iterator[None]:
    """Keep standard output for what `say`, `say_json` and `console` print.

    Standard output of the process stays taken when the command is done, until the process ends: threads and `atexit`
    functions may print still. Another stream in its place (that of a test) is put back.
    """
    if _taken and sys.stdout is _taken[-1].instead:  # a command within a command
        yield
        return
    taken = _take()
    _taken.append(taken)
    try:
        yield
    finally:
        if not taken.owns_descriptor and taken in _taken:
            _taken.remove(taken)
            taken.put_back()


@contextlib.contextmanager
def nothing_printed() -> Iterator[None]:
    """Send to stderr what is printed meanwhile, as plugins do when they are imported; then put everything back."""
    count = len(_taken)
    with results_only():
        try:
            yield
        finally:
            while len(_taken) > count:
                _taken.pop().put_back()


def put_back() -> None:
    """Give the process its standard output again."""
    while _taken:
        _taken.pop().put_back()


def discard_output() -> None:
    """Send nowhere what is still to be written: the disk is full or the reader has gone."""
    with contextlib.suppress(OSError, ValueError, SeaError):
        stream = results_stream()
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, stream.fileno())
        os.close(descriptor)


def results_stream() -> TextIO:
    """Where results go.

    Raises:
        SeaError: standard output is closed.
    """
    stream = _taken[-1].results if _taken else sys.stdout
    if stream is None:
        raise SeaError("cannot write the output: standard output is closed", hint="> /dev/null throws the output away")
    return stream


def as_written(text: str, stream: IO[str] | None) -> str:
    """The text as the stream will show it: where its encoding lacks a character, in words or with an escape."""
    encoding = (stream.encoding if isinstance(stream, io.TextIOWrapper) else None) or "utf-8"
    return text if is_utf8(encoding) else text.encode(encoding, READABLE).decode(encoding)


def is_utf8(encoding: str) -> bool:
    """Whether this is UTF-8, by whatever name."""
    return codecs.lookup(encoding).name == "utf-8"


def say(text: str = "", *, err: bool = False) -> None:
    """Print a line of a result, or with `err` of a message, without control characters."""
    stream = sys.stderr if err else results_stream()
    if stream is not None:
        stream.write(printable(text) + "\n")
        stream.flush()


def say_json(text: str) -> None:
    """Print JSON: on a stream that is not UTF-8 in ASCII, with escapes."""
    stream = results_stream()
    stream.write(safe_json(text, ascii_only=not is_utf8(stream.encoding or "ascii")) + "\n")
    stream.flush()


def say_error(message: str) -> None:
    """Print an error, red on a terminal that has colors."""
    click.secho("error: ", fg="red", bold=True, nl=False, err=True, color=None if has_colors() else False)
    say(message, err=True)


def has_colors() -> bool:
    """Whether colors are wanted at all; https://no-color.org."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") not in ("dumb", "unknown")


def _take() -> _Taken:
    before = sys.stdout
    if before is None:  # closed: descriptor 1 is the null device (see prepare_streams)
        os.dup2(2, 1)
        return _Taken(None, None, None, owns_descriptor=True)
    before.flush()
    if _descriptor(before) == 1:
        handle = open(os.dup(1), "w", encoding=before.encoding, errors=READABLE)  # noqa: SIM115
        os.dup2(2, 1)
        if isinstance(before, io.TextIOWrapper):
            before.reconfigure(line_buffering=True)  # in order with what is printed to stderr
        return _Taken(handle, before, before, owns_descriptor=True)
    sys.stdout = sys.stderr
    return _Taken(before, before, sys.stderr, owns_descriptor=False)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (OSError, ValueError, AttributeError):  # a stream of a test or a notebook
        return None
