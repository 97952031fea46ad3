"""Several processes that do one run together: which of them this one is, and how all of them decide alike.

With tensor parallelism each process, a rank, holds a part of the weights and takes every step of the run. They have to
call their models in the same order, so that whatever steers a run is the same in all of them. What only one process can
know or may do, the first one does and tells the others: it reads standard input and the clock, asks servers and
functions, writes the run's folder. `core.ranks` starts this; without it a process is alone, and nothing here does
anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from sea_toolkit.errors import SeaError

Told = TypeVar("Told")


@runtime_checkable
class Ranks(Protocol):
    """The processes of a run.

    Attributes:
        rank: of this process, from 0.
        size: how many there are.
    """

    rank: int
    size: int

    def told(self, value: Any) -> Any:
        """The first process's value, in all of them."""

    def gathered(self, value: Any) -> list[Any]:
        """The values of all processes, in their order."""


class _Together:
    """The processes that this one belongs to, and the folders that it leaves to the first of them."""

    ranks: Ranks | None = None
    left: list[Path] = []  # noqa: RUF012


def begin(ranks: Ranks) -> None:
    """From now on this process is one of these."""
    _Together.ranks = ranks


def end() -> None:
    """This process is on its own again."""
    _Together.ranks = None


def size() -> int:
    """How many processes do the run together."""
    return 1 if _Together.ranks is None else _Together.ranks.size


def rank() -> int:
    """Which of them this one is, from 0."""
    return 0 if _Together.ranks is None else _Together.ranks.rank


def follows() -> bool:
    """Whether another process speaks and writes for this one."""
    return rank() > 0


def by_first(call: Callable[[], Told]) -> Told:
    """What a call gives, made by the first process alone.

    Args:
        call: returns what can be pickled.

    Raises:
        BaseException: what the call raises, in the first process.
        SeaError: in the others, if it raises.
    """
    ranks = _Together.ranks
    if ranks is None:
        return call()
    if ranks.rank > 0:
        failure, value = ranks.told(None)
        if failure is not None:
            raise SeaError(failure)
        told: Told = value
        return told
    try:
        value = call()
    except BaseException as error:
        ranks.told((str(error), None))
        raise
    ranks.told((None, value))
    return value


def least(number: float) -> float:
    """The least of all processes' numbers."""
    return number if _Together.ranks is None else float(min(_Together.ranks.gathered(number)))


def most(number: float) -> float:
    """The largest of all processes' numbers."""
    return number if _Together.ranks is None else float(max(_Together.ranks.gathered(number)))


def refuse_apart(found: Callable[[], Any], where: str) -> None:
    """Raises: SeaError in every process if they have not all found the same: they would go on to different calls."""
    ranks = _Together.ranks
    if ranks is None:
        return
    said = ranks.gathered(found())
    if apart := [i for i, other in enumerate(said) if other != said[0]]:
        raise SeaError(
            f"process {apart[0]} of {ranks.size} has come to another result than process 0 {where}",
            expected="the same numbers in every process",
            hint="an energy that draws numbers of its own, or that computes otherwise from one call to the next, "
            "cannot be used with tensor parallelism",
        )


@contextmanager
def left_to_first(folder: Path) -> Iterator[None]:
    """Within the block, this process writes nothing in a folder: the first one does."""
    _Together.left.append(folder)
    try:
        yield
    finally:
        _Together.left.remove(folder)


def writes(path: Path) -> bool:
    """Whether this process is to write there."""
    return not any(path.is_relative_to(folder) for folder in _Together.left)
