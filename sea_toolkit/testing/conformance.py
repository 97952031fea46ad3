"""What every check shares: a property is named and checked; one that fails becomes one clear error."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from sea_toolkit.core.torch_state import own_torch_state
from sea_toolkit.errors import SeaError, did_you_mean


class ConformanceError(SeaError, AssertionError):
    """A plugin does not keep a promise of its kind.

    Attributes:
        item: what was checked, as `energy 'brevity'`.
        property: the promise, a name from the table in the documentation.
        got: what is wrong, in one sentence without numbers.
        detail: the numbers, or the exception that was raised.
    """

    def __init__(
        self, item: str, name: str, got: str, *, detail: str = "", expected: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(f"{item}, {name}: {got}" + (f" ({detail})" if detail else ""), expected=expected, hint=hint)
        self.item, self.property, self.got, self.detail = item, name, got, detail


class Broken(Exception):
    """Raised inside a property's block; `Checks` adds item and property."""

    def __init__(self, got: str, *, detail: str = "", expected: str | None = None, hint: str | None = None) -> None:
        super().__init__(got)
        self.got, self.detail, self.expected, self.hint = got, detail, expected, hint


def require(condition: bool, got: str, **more: Any) -> None:
    """Raises: Broken unless `condition`; `more` are `detail`, `expected` and `hint`."""
    if not condition:
        raise Broken(got, **more)


class Checks:
    """The properties of one item, one `with` block each.

    Args:
        item: what is checked, for messages.
        properties: name → what it promises, for all properties of the kind.
        lacks: properties that it is declared to lack; each of them has to fail.
    """

    def __init__(self, item: str, properties: Mapping[str, str], lacks: Collection[str] = ()) -> None:
        self.item, self.properties, self.lacks = item, properties, frozenset(lacks)
        self.held: list[str] = []
        for name in sorted(self.lacks - set(properties)):
            raise SeaError(f"there is no property {name!r} to lack", hint=did_you_mean(name, properties))

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Check one property: whatever its block raises becomes a `ConformanceError` that names it."""
        promise = self.properties[name]
        try:
            yield
        except Exception as error:
            if name in self.lacks:
                return
            if isinstance(error, Broken):
                expected = error.expected or promise
                raise ConformanceError(
                    self.item, name, error.got, detail=error.detail, expected=expected, hint=error.hint
                ) from error.__cause__
            cause = _cause(error)
            got = "it is refused" if isinstance(cause, SeaError) else f"it raises {type(cause).__name__}"
            detail = cause.got if isinstance(cause, SeaError) else str(cause)
            said, hint = (error.expected, error.hint) if isinstance(error, SeaError) else (None, None)
            raise ConformanceError(self.item, name, got, detail=detail, expected=said or promise, hint=hint) from error
        if name in self.lacks:
            raise ConformanceError(
                self.item, name, "it is declared to lack this, and has it", hint=f"take {name!r} out of `lacks`"
            )
        if name not in self.held:
            self.held.append(name)

    @property
    def result(self) -> tuple[str, ...]:
        """The properties that hold, in the order of the documentation."""
        return tuple(name for name in self.properties if name in self.held)


Given = ParamSpec("Given")
Held = TypeVar("Held")


def reported(check: Callable[Given, Held]) -> Callable[Given, Held]:
    """The check under the torch modes of a run, with errors that show the author's line and the plugin's exception
    without the kit's own frames."""

    @functools.wraps(check)
    def checked(*args: Given.args, **options: Given.kwargs) -> Held:
        __tracebackhide__ = True  # pytest's word
        try:
            with own_torch_state():
                return check(*args, **options)
        except ConformanceError as error:
            raise error.with_traceback(None) from error.__cause__

    return checked


def _cause(error: BaseException) -> BaseException:
    """The exception that a plugin raised, taken from the errors that name the plugin."""
    while isinstance(error, SeaError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _global_streams() -> list[Any]:
    states: list[Any] = [torch.get_rng_state(), random.getstate(), np.random.get_state()]
    return states + (torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])


def _restore(streams: list[Any]) -> None:
    torch.set_rng_state(streams[0])
    random.setstate(streams[1])
    np.random.set_state(streams[2])
    if torch.cuda.is_available():
        torch.cuda.set_rng_state_all(streams[3:])


def _seed(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


@contextmanager
def global_streams_untouched() -> Iterator[None]:
    """Raises: Broken if the block moves a random stream of the process; the streams are put back."""
    kept = _global_streams()
    _seed(20_260_101)  # a plugin that seeds a stream with 0 each time would leave it unchanged at the second call
    before = _global_streams()
    try:
        yield
        after = _global_streams()
    finally:
        _restore(kept)
    # Python's own stream is left out, since type checkers draw from it
    names = ["torch's", "", "numpy's"] + ["the GPU's"] * (len(before) - 3)
    moved = [name for name, a, b in zip(names, before, after, strict=True) if name and not _equal(a, b)]
    require(
        not moved,
        f"it draws from {' and '.join(moved)} global random stream",
        hint="draw from the noise that is handed over; functions without noise draw nothing",
    )


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Other global streams within the block; they are put back."""
    before = _global_streams()
    _seed(seed)
    try:
        yield
    finally:
        _restore(before)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    if isinstance(a, tuple):
        return all(_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def off(actual: torch.Tensor, expected: torch.Tensor, scale: float = 1e-4) -> str:
    """Empty if the two agree within `scale` of the larger values, else how far they are apart."""
    actual, expected = actual.detach().double().cpu(), expected.detach().double().cpu()
    if actual.shape != expected.shape:
        return f"shape {list(actual.shape)} instead of {list(expected.shape)}"
    if actual.numel() == 0:
        return ""
    size = float(expected.abs().nan_to_num(0.0, 0.0, 0.0).max())
    # equal infinities have no difference
    gap = torch.where(actual == expected, 0.0, (actual - expected).abs())
    worst = float(gap.nan_to_num(torch.inf).max())
    return "" if worst <= scale * (1.0 + size) else f"off by {worst:.3g}"
