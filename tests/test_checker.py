"""What `tests.checker` catches in the package while its tests run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import torch
from beartype.roar import BeartypeCallHintParamViolation, BeartypeCallHintReturnViolation
from jaxtyping import Float, TypeCheckError
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from tests import checker
from tests.checker import checked

if TYPE_CHECKING:
    from nowhere import Unknown


@checked
def rows(a: Float[Tensor, "P C"], b: Float[Tensor, "P C"] | None = None, *, drop: int = 0) -> Float[Tensor, "P C"]:
    """Gives back `a`, with `drop` columns less than it says."""
    return a[:, drop:]


@checked
@dataclass
class Pair:
    left: Float[Tensor, "N"]
    right: Float[Tensor, "N"]


@checked
def counted(word: Unknown, number: float) -> int:
    """Names what is imported for type checkers alone."""
    return int(number) if word else "none"


@checked
def letters(word: str) -> Iterator[str]:
    yield from word


class Speaker:
    @classmethod
    @checked
    def named(cls, name: str) -> str:
        return name


def test_the_package_is_checked():
    with pytest.raises(BeartypeCallHintParamViolation, match="P C T K"):
        SoftResponse.from_weights(torch.zeros(3), None, (1,))


def test_an_argument_of_another_shape_is_caught():
    assert rows(torch.zeros(2, 3), torch.ones(2, 3)).shape == (2, 3)
    with pytest.raises(BeartypeCallHintParamViolation):
        rows(torch.zeros(2))
    with pytest.raises(BeartypeCallHintParamViolation):
        rows(torch.zeros(2, 3).long())


def test_axes_of_one_name_have_one_size_among_the_arguments_and_the_result():
    with pytest.raises(BeartypeCallHintParamViolation):
        rows(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(BeartypeCallHintReturnViolation):
        rows(torch.zeros(2, 3), drop=1)
    with pytest.raises(BeartypeCallHintParamViolation):
        Pair(torch.zeros(2), right=torch.zeros(3))


def test_one_call_leaves_the_next_its_sizes():
    for size in (2, 3):
        assert rows(torch.zeros(size, size)).shape == (size, size)
    with pytest.raises(BeartypeCallHintParamViolation):
        rows(torch.zeros(2))
    assert rows(torch.zeros(4, 1)).shape == (4, 1)


def test_a_type_that_cannot_be_resolved_leaves_the_others_checked():
    assert counted("a", 2) == 2  # an int stands for a float
    with pytest.raises(BeartypeCallHintParamViolation):
        counted("a", "2")
    with pytest.raises(BeartypeCallHintReturnViolation):
        counted("", 2)


def test_generators_and_methods_of_the_class_are_checked_too():
    assert list(letters("ab")) == ["a", "b"]
    with pytest.raises(TypeCheckError):
        letters(2)
    assert Speaker.named("x") == "x"
    with pytest.raises(BeartypeCallHintParamViolation):
        Speaker.named(3)


def test_the_first_calls_in_each_test_are_checked(monkeypatch):
    monkeypatch.setattr(checker, "CALLS", 3)
    for _ in range(2):
        checker.begin_test()
        for _ in range(3):
            with pytest.raises(BeartypeCallHintParamViolation):
                counted("a", "2")
        assert counted("a", "2") == 2


def made(answer: object) -> Callable[[], int]:
    @checked
    def inner() -> int:
        return answer  # type: ignore[return-value]

    return inner


def test_of_functions_that_a_function_makes_the_first_that_are_called_are_checked(monkeypatch):
    monkeypatch.setattr(checker, "MADE", 2)
    for _ in range(2):
        checker.begin_test()
        uncalled = [made("none") for _ in range(3)]
        for _ in range(2):
            wrong = made("none")
            for _ in range(2):
                with pytest.raises(BeartypeCallHintReturnViolation):
                    wrong()
        assert uncalled[0]() == made("none")() == "none"
