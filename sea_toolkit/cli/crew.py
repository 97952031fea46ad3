"""A command in several processes that torchrun has started: the first one speaks for all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sea_toolkit.cli.output import say
from sea_toolkit.errors import RecipeError
from sea_toolkit.util import ranks

if TYPE_CHECKING:
    from sea_toolkit.core.ranks import TorchRanks

TOGETHER = ("align", "resume")
"""The commands that several processes can do together."""

_BY_TORCHRUN = "TORCHELASTIC_RUN_ID"
_WAIT = 5.0
"""Seconds in which the first process says that it has failed as well, and by what."""


class _Command:
    """The processes of this command, and the standard error of one that is silent."""

    ranks: TorchRanks | None = None
    stderr: int | None = None


@contextmanager
def joined() -> Iterator[None]:
    """Within the block this process is one of those that torchrun has started, if it has. All but the first print
    nothing.

    Raises:
        ModelError: they do not find each other.
    """
    if _BY_TORCHRUN not in os.environ or os.environ.get("WORLD_SIZE", "1") == "1":
        yield
        return
    from sea_toolkit.core.ranks import join, leave

    _Command.ranks = join()
    if ranks.follows():
        _fall_silent()
    yield
    leave()  # not after a failure, when the others are elsewhere


def refuse_together(command: str | None) -> None:
    """Raises: RecipeError for a command that each of several processes would do by itself."""
    if ranks.size() > 1 and command not in TOGETHER:
        raise RecipeError(
            f"torchrun has started {ranks.size()} processes, and {command} is done by one",
            expected=f"{' or '.join(TOGETHER)}, or the command without torchrun",
            hint=f"env -u {_BY_TORCHRUN} sea-toolkit {command} …, inside of a program of torchrun's",
        )


def say_which(error: BaseException) -> None:
    """Before an error is said: a process that is silent stays so if the first one has failed as well, and speaks if it
    is the only one; the first one says what others have failed by."""
    here = _Command.ranks
    if here is None:
        return
    here.say_failed(str(error))
    if here.rank == 0:
        for other, message in here.failures().items():
            if message != str(error):
                say(f"process {other} of {here.size}: {message}", err=True)
    elif 0 not in here.failures(wait=_WAIT):
        _speak()
        say(f"process {here.rank} of {here.size}:", err=True)


def _fall_silent() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    _Command.stderr = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        for descriptor in (1, 2):
            os.dup2(nowhere.fileno(), descriptor)


def _speak() -> None:
    if _Command.stderr is not None:
        sys.stderr.flush()
        os.dup2(_Command.stderr, 2)
