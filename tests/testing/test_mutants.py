"""Each check catches its mutants and names the property that they break; the documentation shows what it says."""

from __future__ import annotations

import pytest

from tests.testing.mutants import caught
from tests.testing.table import BEGIN, CHECKED, MUTANTS, PAGE, PROPERTIES, possible, table


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_is_caught_by_the_property_that_it_breaks(mutant):
    if not possible(mutant):
        pytest.skip("there is no GPU")
    error = caught(mutant)
    assert error is not None, "it passes"
    assert error.property == mutant.breaks, str(error)
    assert mutant.thing.__name__ in str(error)


@pytest.mark.parametrize("kind", CHECKED)
def test_every_property_has_a_mutant(kind):
    assert {m.breaks for m in MUTANTS if m.kind == kind} == set(PROPERTIES[kind])


def test_the_documentation_has_the_mutants_and_their_messages():
    _, begin, shown = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    assert begin + shown == table(), "run python -m tests.testing.table"
