"""A worker does pieces of work, one after the other; its models stay loaded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

from sea_toolkit.errors import ModelError, NumericalError, RecipeError, SeaError

FINAL = (RecipeError, ModelError, NumericalError)
"""Errors that the same piece brings again: no second attempt."""


class Worker(ABC):
    """What a process asks for work to be done."""

    @abstractmethod
    def load(self) -> None:
        """Read the models: what fails here is no piece's fault.

        Raises:
            SeaError: they cannot be read, or are others than those that others have begun with.
        """

    @abstractmethod
    def run(self, piece: int) -> bool:
        """Do a piece, or go on with what a worker that died has left of it.

        Returns:
            Whether it was done here; False if another process has it, or it was settled before.

        Raises:
            SeaError: what is wrong is not the piece, but concerns all of them.
        """

    @abstractmethod
    def is_settled(self, piece: int) -> bool:
        """Whether nobody needs to work on a piece any more."""

    def work(self, pieces: Iterable[int], settled: Callable[[int], None]) -> list[int]:
        """Do what nobody else works on.

        Args:
            pieces: which.
            settled: called with each that this worker has settled.

        Returns:
            Those that other processes have.

        Raises:
            SeaError: see `run`.
            KeyboardInterrupt: Ctrl-C; the piece in hand can be gone on with.
        """
        left = []
        for piece in pieces:
            if self.run(piece):
                settled(piece)
            elif not self.is_settled(piece):
                left.append(piece)
        return left


def told(error: SeaError) -> dict[str, Any]:
    """An error of a worker as plain data."""
    return {"got": error.got, "expected": error.expected, "hint": error.hint, "code": error.exit_code}


def error_of(message: dict[str, Any]) -> SeaError:
    """The error that a worker has told, for whoever has asked for the work."""
    kind = RecipeError if message["code"] == RecipeError.exit_code else SeaError
    return kind(message["got"], expected=message["expected"], hint=message["hint"])
