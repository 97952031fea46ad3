"""Whose fault it is: what a plugin's code raises becomes an error that names the plugin."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from sea_toolkit.errors import PluginError, SeaError

_NOT_TO_BLAME = frozenset({__name__.partition(".")[0], "importlib"})
"""Top packages whose frames do not locate a plugin's fault."""


class AttributedError(PluginError):
    """A fault and who is at fault, in parts.

    Args:
        owner: the plugin or item, as messages name it.
        cause: what went wrong, in one sentence.
        expected: as of every `SeaError`.
        hint: as of every `SeaError`.
        place: where in the owner's code, such as "in sea_observe"; follows the owner in the message.

    Attributes:
        cause: the whole message without the owner.
    """

    def __init__(
        self, owner: str, cause: str, *, expected: str | None = None, hint: str | None = None, place: str = ""
    ) -> None:
        comma = "," if place.startswith("in ") else ""
        super().__init__(f"{owner}{comma} {place}".rstrip() + f": {cause}", expected=expected, hint=hint)
        self.owner = owner
        self.cause = str(SeaError(f"{place}: {cause}" if place else cause, expected=expected, hint=hint))


@contextlib.contextmanager
def attribute_errors_to(owner: str, place: str = "", *, user_errors_pass: bool = False) -> Iterator[None]:
    """Run a plugin's code: its failure, `SystemExit` included, becomes an `AttributedError`.

    What it prints goes to stderr, so that stdout stays the caller's.

    Args:
        owner: the plugin or item, as messages name it.
        place: where in its code, such as "in sea_observe" or "cannot be made".
        user_errors_pass: let a `SeaError` that is not a `PluginError` pass unchanged: it is about the user's input.

    Raises:
        AttributedError: something was raised; `KeyboardInterrupt` passes.
    """
    with contextlib.redirect_stdout(sys.stderr):
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except SeaError as error:
            if user_errors_pass and not isinstance(error, PluginError):
                raise
            if isinstance(error, AttributedError) and error.owner == owner:
                raise  # its message names the owner already
            raise AttributedError(owner, error.got, expected=error.expected, hint=error.hint, place=place) from error
        except BaseException as error:
            raise AttributedError(owner, cause_of(error), place=place) from error


def cause_of(error: BaseException) -> str:
    """Type, message and, outside sea_toolkit, the file and line that raised."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be printed)"
    head = f"{type(error).__name__}: {text}" if text else type(error).__name__
    trace, place = error.__traceback__, ""
    while trace is not None:
        frame = trace.tb_frame
        if str(frame.f_globals.get("__name__")).partition(".")[0] not in _NOT_TO_BLAME:
            place = f" ({frame.f_code.co_filename}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return head if isinstance(error, SyntaxError) else head + place
