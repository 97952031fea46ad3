"""`cyclical`, `plateau` and `adaptive` by themselves: closed forms, bounds, states and refused options."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sea_toolkit.errors import RecipeError
from sea_toolkit.schedules.adaptive import Adaptive
from sea_toolkit.schedules.cosine import cosine
from sea_toolkit.schedules.cyclical import cyclical
from sea_toolkit.schedules.plateau import Plateau
from sea_toolkit.schedules.reactive import Observation
from tests.helpers import hub

numbers = st.floats(-1e6, 1e6)
part = st.floats(0.0, 1.0)


@given(start=numbers, end=numbers, progress=part, cycles=st.integers(1, 7))
def test_a_cycle_is_a_cosine_of_its_own(start, end, progress, cycles):
    found = cyclical(progress, 3, start=start, end=end, cycles=cycles)
    within = progress * cycles - min(int(progress * cycles), cycles - 1)
    assert found == pytest.approx(cosine(within, 3, start=start, end=end), rel=1e-9, abs=1e-6)
    assert min(start, end) <= found <= max(start, end)


def test_cycles_restart_and_the_run_ends_at_the_end():
    at = [cyclical(p, 0, start=2.0, end=1.0, cycles=2, decay=0.5) for p in (0.0, 0.25, 0.499999, 0.5, 0.75, 1.0)]
    assert at == pytest.approx([2.0, 1.5, 1.0, 1.5, 1.25, 1.0], abs=1e-6)
    assert at[0] == 2.0
    assert at[-1] == 1.0


@given(start=numbers, end=numbers, progress=part, decay=st.floats(0.01, 1.0))
def test_decay_brings_each_cycle_nearer_to_the_end(start, end, progress, decay):
    found = cyclical(progress, 0, start=start, end=end, cycles=4, decay=decay)
    index = min(int(progress * 4), 3)
    reach = abs(start - end) * decay**index
    assert abs(found - end) <= reach * (1 + 1e-9) + 1e-9
    first = cyclical(0.25, 0, start=start, end=end, cycles=4, decay=decay)
    assert first - end == pytest.approx((start - end) * decay, rel=1e-9, abs=1e-6)


def seen(energy=0.0, acceptance=None, step=0, progress=0.0):
    return Observation(step, progress, energy, {} if acceptance is None else {"acceptance": acceptance})


def told(schedule, energies):
    values = []
    for e in energies:
        schedule.observe(seen(e))
        values.append(schedule.at(0.5, 1))
    return values


def test_plateau_waits_for_its_patience_and_starts_to_wait_anew():
    made = Plateau(start=8.0, factor=0.5, patience=2)
    assert told(made, [5, 5, 5, 5, 5, 4, 4, 4, 3, 3]) == [8, 8, 4, 4, 2, 2, 2, 1, 1, 1]


def test_plateau_counts_an_improvement_from_min_delta_on():
    assert told(Plateau(start=1.0, factor=2.0, patience=1, min_delta=0.5), [5.0, 4.6, 4.4, 4.4]) == [1, 2, 2, 4]


def test_plateau_without_any_finite_energy_has_not_improved():
    assert told(Plateau(start=1.0, factor=0.5, patience=2), [math.inf] * 4) == [1, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(("start", "factor", "limit"), [(8.0, 0.1, 1.0), (1.0, 3.0, 20.0), (-1.0, 3.0, -20.0)])
def test_plateau_never_passes_its_limit(start, factor, limit):
    values = told(Plateau(start=start, factor=factor, patience=1, limit=limit), [0.0] * 8)
    assert values[-1] == limit
    assert all(min(start, limit) <= v <= max(start, limit) for v in values)
    assert values[0] == start


def test_plateau_stays_finite():
    assert math.isfinite(told(Plateau(start=1.0, factor=1e200, patience=1), [0.0] * 9)[-1])


@pytest.mark.parametrize("bad", [{"limit": 2.0}, {"limit": 0.5, "factor": 2.0}])
def test_plateau_refuses_what_leads_nowhere(bad):
    with pytest.raises(RecipeError, match="schedule 'plateau'"):
        Plateau(**{"start": 1.0, **bad})


def acceptance_at(value):
    """Falls from 1 to 0 as the number grows; one half at 0.02."""
    return 1 / (1 + value / 0.02)


@pytest.mark.parametrize("start", [1e-4, 0.02, 3.0])
@pytest.mark.parametrize("target", [0.3, 0.8])
def test_adaptive_finds_the_number_of_its_target_and_is_frozen(start, target):
    made, steps = Adaptive(start=start, target=target, warmup=0.5), 200
    values = []
    for step in range(steps):
        progress = step / (steps - 1)
        values.append(made.at(progress, step))
        made.observe(seen(acceptance=acceptance_at(values[-1]), step=step, progress=progress))
    assert acceptance_at(values[-1]) == pytest.approx(target, abs=0.05)
    assert values[0] == start
    assert len(set(values[100:])) == 1
    assert len(set(values[:100])) > 50


def test_adaptive_by_hand():
    """Two steps of Hoffman and Gelman's algorithm 5, attracted to the start."""
    made = Adaptive(start=2.0, target=0.6)
    made.observe(seen(acceptance=0.9))
    h = -0.3 / 11
    x1 = -1 / 0.05 * h
    assert made.at(0.0, 1) == pytest.approx(2.0 * math.exp(x1))
    assert made.at(0.9, 1) == pytest.approx(2.0 * math.exp(x1))
    made.observe(seen(acceptance=0.2))
    h = (1 - 1 / 12) * h + 0.4 / 12
    x2 = -math.sqrt(2) / 0.05 * h
    assert made.at(0.0, 2) == pytest.approx(2.0 * math.exp(x2))
    weight = 2**-0.75
    assert made.at(0.9, 2) == pytest.approx(2.0 * math.exp(weight * x2 + (1 - weight) * x1))


@given(rates=st.lists(st.floats(0, 1), max_size=60), span=st.floats(1.1, 100))
def test_adaptive_stays_in_its_span(rates, span):
    made = Adaptive(start=0.5, target=0.5, span=span)
    for rate in rates:
        made.observe(seen(acceptance=rate))
        assert 0.5 / span * 0.999 <= made.at(0.0, 0) <= 0.5 * span * 1.001
        assert 0.5 / span * 0.999 <= made.at(1.0, 0) <= 0.5 * span * 1.001


def test_adaptive_leaves_out_a_step_without_a_rate_and_refuses_a_sampler_without_one():
    made = Adaptive(start=0.5)
    before = made.state()
    made.observe(seen(acceptance=math.nan))
    assert made.state() == before
    with pytest.raises(RecipeError, match="reports no such number"):
        made.observe(seen())


@pytest.mark.parametrize("kind", [Adaptive, Plateau])
def test_a_state_that_went_through_json_goes_on_alike(kind):
    made, other = kind(start=0.3), kind(start=0.3)
    story = [seen(5 - min(i, 15) // 3, 0.1 * (i % 7), i, 0.01 * i) for i in range(40)]
    for s in story[:20]:
        made.observe(s)
    other.load_state(json.loads(json.dumps(made.state())))
    for s in story[20:]:
        made.observe(s)
        other.observe(s)
    assert other.state() == made.state()
    assert other.at(0.4, 40) == made.at(0.4, 40) != 0.3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cyclical", {"start": 1.0, "end": 0.0, "cycles": 0}, "cycles"),
        ("cyclical", {"start": 1.0, "end": 0.0, "decay": 1.5}, "decay"),
        ("plateau", {"start": 1.0, "factor": 0.0}, "factor"),
        ("plateau", {"start": 1.0, "patience": 0}, "patience"),
        ("adaptive", {"start": 0.0}, "start"),
        ("adaptive", {"start": 1.0, "target": 1.0}, "target"),
        ("adaptive", {"start": 1.0, "warmup": 0.0}, "warmup"),
        ("adaptive", {"start": 1.0, "span": 1.0}, "span"),
        ("adaptive", {"start": math.inf}, "'start' is inf"),
        ("plateau", {"start": math.nan}, "'start' is nan"),
        ("plateau", {"start": 1.0, "limit": -math.inf}, "'limit' is -inf"),
        ("cyclical", {"start": 1.0, "end": math.inf}, "'end' is inf"),
    ],
)
def test_options_that_mean_nothing_are_refused(name, options, message):
    with pytest.raises(RecipeError, match=message):
        hub().get("schedule", name).build(options)
