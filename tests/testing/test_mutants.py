"""Each check catches its mutants, and names the property that they break."""

from __future__ import annotations

import importlib

import pytest
import torch

from sea_toolkit.records import KINDS
from tests.testing.mutants import caught

KINDS = {k: k[:-1] + "ies" if k[-1] == "y" else k + "s" for k in KINDS}
TABLES = {kind: importlib.import_module(f"sea_toolkit.testing.{module}").PROPERTIES for kind, module in KINDS.items()}
MUTANTS = [m for module in KINDS.values() for m in importlib.import_module(f"tests.testing.mutants.{module}").MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_a_mutant_is_caught_by_the_property_that_it_breaks(mutant):
    if mutant.breaks == "gpu" and not torch.cuda.is_available():
        pytest.skip("there is no GPU")
    error = caught(mutant)
    assert error is not None, "it passes"
    assert error.property == mutant.breaks, str(error)
    assert mutant.thing.__name__ in str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_every_property_has_a_mutant(kind):
    assert {m.breaks for m in MUTANTS if m.kind == kind} == set(TABLES[kind])
