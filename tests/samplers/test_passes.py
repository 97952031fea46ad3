"""How `smc` divides a budget into passes, and what it then spends."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.problem.compass import Compass
from sea_toolkit.samplers.shared.passes import Pass, Planner, Prices
from tests.helpers import endless, run_for

PRICES = Prices(keep=0.7, keep_read=0.45, draw=1.0, draw_read=0.45, learn=0.3)


def passes_of(budget, particles=32, scouts=4, *, scouted=True):
    """The passes of a run that has paid for its start, and what is left in the end."""
    planner, left, passes = Planner(PRICES, scouts, particles, scouted, True), budget - 1.3, []
    while True:
        one = planner.next(budget, left, len(passes))
        if PRICES.cost(one) > left:
            return passes, left
        passes.append(one)
        left -= PRICES.cost(one)


@pytest.mark.parametrize("scouted", [False, True])
@pytest.mark.parametrize("budget", [8, 16, 32, 64, 128])
def test_the_passes_use_up_the_budget(budget, scouted):
    passes, left = passes_of(budget, scouted=scouted)
    assert 0 <= left < 1 + len(passes)
    assert not passes[-1].learns
    assert all(one.learns for one in passes[:-1])


def test_scouts_go_ahead_where_the_rest_pays_for_a_pass():
    firsts = {budget: passes_of(budget)[0][0] for budget in (4, 8, 16, 32, 128)}
    assert {b: one.drawn for b, one in firsts.items() if not one.reads} == {8: 1, 16: 2, 32: 4, 128: 4}
    assert firsts[4] == Pass(1, True, False)
    assert passes_of(32, scouted=False)[0] == [Pass(20, True, False)]


def test_more_passes_rather_than_wider_ones():
    passes, _ = passes_of(128, particles=16)
    sizes = [one.drawn for one in passes[1:]]
    assert len(sizes) > 3
    assert max(sizes) <= 16
    assert max(sizes) - min(sizes) <= 1


def test_of_steps_all_passes_are_as_wide_as_allowed():
    planner = Planner(PRICES, 4, 5, True, True)
    assert [planner.next(None, None, i) for i in range(3)] == [
        Pass(4, False, True),
        Pass(5, True, True),
        Pass(5, True, True),
    ]


@pytest.mark.parametrize("compass", [False, True])
def test_a_run_spends_its_budget(compass):
    run = run_for(policy=endless(), sampler="smc", budget=24, chains=1, max_new_tokens=12)
    if compass:
        (term,) = run.problem.differentiable_rewards
        zeros = torch.zeros(run.problem.policy.vocab_size)
        object.__setattr__(term, "compass", Compass(zeros, zeros, 64.0))
    events = []
    run.on_event = events.append
    run.execute()
    widths = [event.metrics["width"][0][0] for event in events if event.kind == "step"]
    assert (widths[0] <= 4) is not compass
    assert max(widths) > 8
    assert 0.85 * 24 < run.problem.ledger.samples < 1.02 * 24


@pytest.mark.parametrize(("length", "chunk", "often"), [(12, None, 5), (12, 4, 2), (5, None, 4)])
def test_an_answer_is_weighed_up_to_seven_times_on_its_way_or_after_each_chunk(length, chunk, often):
    sampler = {"name": "smc", "ess": 1.0} | ({} if chunk is None else {"chunk": chunk})
    events = []
    run_for(policy=endless(), sampler=sampler, steps=2, max_new_tokens=length, on_event=events.append).execute()
    resampled = [event.metrics["resampled"][0][0] for event in events if event.kind == "step"]
    assert resampled == [0, often]
