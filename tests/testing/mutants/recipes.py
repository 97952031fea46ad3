"""Broken recipes."""

from __future__ import annotations

import random

from tests.testing.mutants import Mutant, collector

MUTANTS: list[Mutant] = []
mutant = collector("recipe", MUTANTS)

TARGET = {"name": "length", "target": 12}


@mutant("builds")
def nothing():
    """Returns nothing."""


@mutant("builds")
def misspelt_key():
    """Has a key that no recipe has."""
    return {"energies": [TARGET], "max_tokens": 12}


@mutant("builds")
def missing_option(*, tokens: int):
    """Is not given its option."""
    return {"energies": [{**TARGET, "target": tokens}]}


@mutant("builds")
def newer():
    """Requires a version that there is not yet."""
    return {"requires": "99.0", "energies": [TARGET]}


@mutant("plain")
def with_an_object():
    """Hands an object to an energy."""
    return {"energies": [{**TARGET, "tolerance": complex(1.0)}]}


@mutant("pure")
def drawn():
    """Draws its weight."""
    return {"energies": [{**TARGET, "weight": random.random()}]}


@mutant("composes")
def misspelt_energy():
    """Names an energy that there is not."""
    return {"energies": [{"name": "lenght", "target": 12}]}


@mutant("composes")
def wrong_option():
    """Gives an energy a text for a number."""
    return {"energies": [{**TARGET, "target": "twelve"}]}


@mutant("composes")
def reference_alone():
    """Asks for what the policy writes anyway."""
    return {"energies": [{"name": "reference"}]}


@mutant("composes")
def exclusive_limits():
    """Has limits that no answer keeps."""
    limit = {"name": "reward", "model": "sentiment"}
    return {"constraints": [{**limit, "min": 2.0}, {**limit, "max": 1.0, "label": "other"}]}
