"""The energy `vader`, found and built by the hub as in a run."""

from __future__ import annotations

import pytest
import sea_vader

import sea_toolkit as sea
from sea_toolkit.testing import Setting, check_energy

GOOD, BAD, PLAIN = "What a wonderful, happy day!", "A terrible, sad failure.", "The table has four legs."


@pytest.fixture
def vader():
    """Score texts with options."""
    hub = sea.PluginHub.discover(plugins=[])
    with hub.temporarily(sea_vader):
        yield lambda *texts, **options: hub.get("energy", "temporary:vader").build(options)([""] * len(texts), texts)


def test_it_keeps_the_promises_of_an_energy():
    from sea_vader.energy import vader

    check_energy(vader, Setting(texts=(GOOD, BAD, PLAIN)))


def test_what_is_wanted_has_the_lowest_energy(vader):
    for target, best in ((1.0, GOOD), (-1.0, BAD), (0.0, PLAIN)):
        energies = dict(zip((GOOD, BAD, PLAIN), vader(GOOD, BAD, PLAIN, target=target), strict=True))
        assert min(energies, key=energies.__getitem__) == best
    assert vader(PLAIN, target=0.0) == [0.0]


def test_negation_and_intensity_count(vader):
    good, better, bad = vader("It is good.", "It is VERY good!!!", "It is not good.")
    assert better < good < bad


def test_a_part_of_the_text(vader):
    assert vader(PLAIN, "", score="neu") == [0.0, 1.0]
    assert vader(GOOD, score="neg", target=0.0) == [0.0]


def test_a_target_out_of_range_is_refused(vader):
    with pytest.raises(sea.RecipeError, match="target"):
        vader(GOOD, target=1.5)
