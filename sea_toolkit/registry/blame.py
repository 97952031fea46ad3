"""Whose fault it is: what a plugin's code raises becomes an error that names the plugin, its own line and the run's
step. Every call into an item of a plugin, of whatever kind, goes through `attribute_errors_to`."""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from sea_toolkit.errors import OutOfMemoryError, PluginError, SeaError
from sea_toolkit.util.halt import Halted

HERE = __name__.partition(".")[0]
_NOT_TO_BLAME = frozenset({HERE, "importlib", "contextlib"})
"""Top packages whose frames do not locate a plugin's fault, unless they are the owner's."""

_NO_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""How torch's devices say it where the error has no type of its own (CPU, MPS, cuBLAS)."""

_PHASE: ContextVar[str] = ContextVar("sea_toolkit_phase", default="")


@dataclass(frozen=True)
class Owner:
    """Whose code is called.

    Attributes:
        label: the plugin or item, as messages name it.
        code: top packages and files that are its own.
    """

    label: str
    code: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return self.label

    def with_code_of(self, target: Any) -> Owner:
        """The same owner, and the top package of a function, class or object as its own code."""
        while isinstance(target, functools.partial):
            target = target.func
        holder = target if inspect.isclass(target) or inspect.isroutine(target) else type(target)
        package = str(holder.__module__).partition(".")[0]
        own = set() if package in sys.stdlib_module_names - {"__main__"} else {package}
        return Owner(self.label, self.code | own)

    def owns(self, trace: TracebackType) -> bool:
        """Whether a frame runs this owner's code."""
        return package_of(trace) in self.code or trace.tb_frame.f_code.co_filename in self.code


class AttributedError(PluginError):
    """A fault and who is at fault, in parts.

    Args:
        owner: the plugin or item.
        cause: what went wrong, in one sentence.
        expected: as of every `SeaError`.
        hint: as of every `SeaError`.
        place: where in the owner's code, such as "in sea_observe"; follows the owner in the message.

    Attributes:
        owner: as messages name it.
        cause: the whole message without the owner.
    """

    def __init__(
        self, owner: Owner | str, cause: str, *, expected: str | None = None, hint: str | None = None, place: str = ""
    ) -> None:
        comma = "," if place.startswith("in ") else ""
        super().__init__(f"{owner}{comma} {place}".rstrip() + f": {cause}", expected=expected, hint=hint)
        self.owner = str(owner)
        self.cause = str(SeaError(f"{place}: {cause}" if place else cause, expected=expected, hint=hint))


@contextlib.contextmanager
def attribute_errors_to(
    owner: Owner | str, place: str = "", *, user_errors_pass: bool = False, dated: bool = True
) -> Iterator[None]:
    """Run a plugin's code: its failure, `SystemExit` included, becomes an `AttributedError`.

    Args:
        owner: the plugin or item.
        place: where in its code, such as "in sea_observe" or "cannot be made".
        user_errors_pass: let a `SeaError` that is not a `PluginError` pass unchanged: it is about the user's input. So
            does what is attributed to somebody else already, and what is no fault of any code: memory that is used up.
        dated: say in which step of a run it was; see `during`.

    Raises:
        AttributedError: something was raised; `KeyboardInterrupt` and `Halted` pass.
        OutOfMemoryError: memory is used up, and `user_errors_pass`.
    """
    if isinstance(owner, str):
        owner = Owner(owner)
    try:
        yield
    except (KeyboardInterrupt, Halted):
        raise
    except BaseException as error:
        if user_errors_pass and isinstance(error, SeaError) and not _is_unattributed(error):
            raise
        if isinstance(error, AttributedError) and error.owner == owner.label:
            raise  # its message names the owner already
        place = f"{place} {phase()}".strip() if dated else place
        if user_errors_pass and is_out_of_memory(error):
            raise out_of_memory(error, f"in {owner}, {place}" if place else f"in {owner}") from error
        if isinstance(error, SeaError):
            got = error.got if HERE in owner.code else error.got + place_of(error, owner)
            raise AttributedError(owner, got, expected=error.expected, hint=error.hint, place=place) from error
        raise AttributedError(owner, cause_of(error, owner), place=place) from error


def _is_unattributed(error: SeaError) -> bool:
    return isinstance(error, PluginError) and not isinstance(error, AttributedError)


@contextlib.contextmanager
def during(where: str) -> Iterator[None]:
    """Within the block, faults say where the run stands, such as "in step 4"."""
    token = _PHASE.set(where)
    try:
        yield
    finally:
        _PHASE.reset(token)


def phase() -> str:
    """Where the run stands, for messages; empty outside of a run."""
    return _PHASE.get()


def wrong_return(owner: Owner | str, what: str, *, expected: str, hint: str | None = None) -> AttributedError:
    """The error for something that an item returned.

    Args:
        owner: the item.
        what: what it returned, and from where, such as "step returned None".
        expected: what it should return.
        hint: as of every `SeaError`.
    """
    return AttributedError(owner, f"{what} {phase()}".rstrip(), expected=expected, hint=hint)


def cause_of(error: BaseException, owner: Owner | None = None) -> str:
    """Type, message, and the place as `place_of` tells it. A `SyntaxError` says its own."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be printed)"
    head = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return head if isinstance(error, SyntaxError) else head + place_of(error, owner)


def place_of(error: BaseException, owner: Owner | None = None) -> str:
    """` (file, line n)` of the last frame in the owner's own code, so that an error deep inside a library points at the
    line of the plugin that called it; nothing if none is. Where no code is known to be the owner's, the last frame that
    is not sea_toolkit's.
    """
    trace, own, other = error.__traceback__, "", ""
    while trace is not None:
        here = f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"
        if owner is not None and owner.owns(trace):
            own = here
        elif package_of(trace) not in _NOT_TO_BLAME:
            other = here
        trace = trace.tb_next
    return own if owner is not None and owner.code else other


def package_of(trace: TracebackType) -> str:
    """The top package whose code a frame runs."""
    return str(trace.tb_frame.f_globals.get("__name__")).partition(".")[0]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine has no memory left."""
    if isinstance(error, SeaError):
        return False  # it is said already
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


FEWER = "fewer chains (--chains), shorter answers (--max-new-tokens), or fewer prompts at once"


def out_of_memory(error: BaseException, where: str = "", hint: str = FEWER) -> OutOfMemoryError:
    """The error for a person when memory is used up.

    Args:
        error: what was raised.
        where: in whose code, and when.
        hint: what takes less.
    """
    first = (str(error).splitlines() or [""])[0]
    return OutOfMemoryError(f"out of memory {where}".rstrip() + (f": {first}" if first else ""), hint=hint)


@contextlib.contextmanager
def memory_said(where: str) -> Iterator[None]:
    """Within the block, models are loaded, and prompts read by them.

    Raises:
        OutOfMemoryError: memory is used up.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        hint = 'a smaller model, dtype = "bfloat16" (--dtype), or fewer prompts at once'
        raise out_of_memory(error, where, hint) from error
