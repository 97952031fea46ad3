"""How a command ends: its exit code, and the words on stderr that go with it."""

from __future__ import annotations

import contextlib
import errno
import io
import sys
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import click

from sea_toolkit.cli.interrupt import exit_code
from sea_toolkit.cli.output import discard_output, say, say_error
from sea_toolkit.errors import SeaError

_wanted: ContextVar[bool] = ContextVar("sea_toolkit_traceback", default=False)


def end(error: BaseException, interrupted: bool) -> int:
    """Say what there is to say about an exception that ended a command.

    Args:
        error: what was raised.
        interrupted: whether Ctrl-C was pressed: then it is the cause, whatever was raised.

    Returns:
        The exit code.

    Raises:
        BaseException: the error, if it is nobody's message: a defect.
    """
    with contextlib.suppress(BrokenPipeError):  # nobody reads stderr
        if isinstance(error, click.Abort) and error.__cause__ is not None:  # click's, for Ctrl-C or the end of input
            error = error.__cause__
        if interrupted or isinstance(error, KeyboardInterrupt):
            if not isinstance(error, SystemExit) or error.code != exit_code():  # it has said so
                say("interrupted", err=True)
            return exit_code()
        if isinstance(error, SeaError):
            say_traceback(error)
            say_error(str(error))
            return error.exit_code
        if isinstance(error, click.ClickException):
            message = io.StringIO()
            error.show(message)
            say(message.getvalue().rstrip("\n"), err=True)
            return error.exit_code
        if isinstance(error, (click.Abort, EOFError)):
            say("Aborted!", err=True)
            return 1
    if isinstance(error, OSError) and _of_the_output(error):
        discard_output()
        if error.errno != errno.EPIPE:
            say_error(f"cannot write the output: {error.strerror}")
        return 1
    raise error


def traceback_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """The option `--traceback`, for authors of plugins."""

    def ask(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value:
            _wanted.set(True)

    return click.option(
        "--traceback", is_flag=True, expose_value=False, is_eager=True, callback=ask, envvar="SEA_TRACEBACK",
        help="Show the whole traceback of an error, and of every plugin that fails (or: SEA_TRACEBACK=1).",
    )(function)  # fmt: skip


def say_traceback(error: BaseException) -> None:
    """Write where an error comes from to stderr, its causes first, if this command was asked to."""
    if _wanted.get():
        say("".join(traceback.format_exception(error)).rstrip("\n"), err=True)


@contextlib.contextmanager
def tracebacks_as_asked() -> Iterator[None]:
    """Within the block, a command shows tracebacks if its own options say so."""
    token = _wanted.set(False)
    try:
        yield
    finally:
        _wanted.reset(token)


def _of_the_output(error: OSError) -> bool:
    """Whether a write to `> file` or to a pipe failed: it names no file."""
    full = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF)
    return error.filename is None and error.errno in full


def end_interrupted(out: Path | None) -> NoReturn:
    """Say what is left of a comparison or a sweep that was interrupted, and exit.

    Args:
        out: its folder, or None.
    """
    kept = f"what was finished is in {out}; the same command goes on from there" if out else "nothing was kept"
    say(f"interrupted: {kept}{'' if out else ' (no --out)'}", err=True)
    sys.exit(exit_code())
