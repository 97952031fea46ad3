"""Multipliers: their share of the energy, where they start, how they move, and that they stand still for a law."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from sea_toolkit.core.clock import Clock
from sea_toolkit.core.ledger import Ledger
from sea_toolkit.core.meter import Meter
from sea_toolkit.problem.energy import BoundEnergy
from sea_toolkit.problem.limit_scale import LARGEST, scale_of, spread
from sea_toolkit.problem.limits import PromptLimits
from sea_toolkit.problem.multipliers import POINTS, Multipliers
from sea_toolkit.problem.terms import Term
from sea_toolkit.problem.weighing import Weight
from sea_toolkit.registry.blame import Owner
from sea_toolkit.runs.checkpoint import pack
from sea_toolkit.runs.checkpoint_file import unpack


def term(label="tone", high=0.0, prompts=2, **more):
    limit = PromptLimits(None, (high,) * prompts, more.pop("method", "multiplier"), 1.0)
    bound = BoundEnergy(energy=lambda response: response.alive.sum(-1))
    return Term(label, Weight(), bound, label, Owner(label), Meter(Ledger()), limit=limit)


def problem_of(limited, drawn=None):
    """What multipliers see of a run: its limits, the energy without them, and how base samples are drawn."""

    def draw(problem, samples):
        assert samples == 4
        return drawn

    return SimpleNamespace(
        limits={limited.label: limited.limit},
        energy_without_limits=lambda values: values["rest"],
        run=SimpleNamespace(weighing=SimpleNamespace(noise=drawn, draw=draw)),
    )


def measured(limited, values, rest, **more):
    """Multipliers after the first texts."""
    found = Multipliers(**more)
    found.measure(problem_of(limited), {"tone": torch.tensor(values), "rest": torch.tensor(rest)})
    return found


def looked(values, rest, **more):
    """The same for readings with a largest one of 0."""
    limited = term(prompts=len(values))
    return measured(limited, values, rest, **more), limited


FIRST = [[1.0, -1.0, 2.0, 0.5], [-1.0, -2.0, -3.0, -1.5]]
REST = [[10.0, 14.0, 6.0, 12.0], [10.0, 14.0, 6.0, 12.0]]


def test_the_slope_of_the_share_is_the_multiplier_at_the_edge_and_none_deep_inside():
    found, limited = looked(FIRST, REST)
    found.values["tone"] = torch.tensor([[3.0], [0.0]])
    stiffness = found.scales["tone"].stiffness
    excess = torch.tensor([[0.0, 0.5, -100.0], [0.0, 0.5, -0.5]], requires_grad=True)
    share = found.share(limited, excess)
    (slope,) = torch.autograd.grad(share.sum(), excess)
    expected = [[3.0, 3.0 + 0.5 * stiffness, 0.0], [0.0, 0.5 * stiffness, 0.0]]
    torch.testing.assert_close(slope, torch.tensor(expected))
    assert share[:, 0].tolist() == [0.0, 0.0]
    assert float(found.share(limited, torch.full((2, 1), -1e30))[0]) == pytest.approx(-4.5 / stiffness)
    assert found.slope(limited).tolist() == [[3.0], [0.0]]


def test_a_hinge_has_no_multiplier_and_no_share_inside():
    limited = term(method="hinge")
    found = measured(limited, FIRST, REST)
    assert not found.values
    assert found.share(limited, torch.tensor([[2.0, -2.0], [0.0, 1.0]])).tolist() == [[2.0, 0.0], [0.0, 1.0]]
    assert found.are_constant


def test_the_start_lets_the_best_text_inside_win():
    """The text outside is 8 nats cheaper than the best one inside; a prompt whose texts are all inside starts at 0."""
    found, limited = looked(FIRST, REST)
    total = torch.tensor(REST) + found.share(limited, torch.tensor(FIRST))
    assert total.argmin(1).tolist() == [1, 2]
    assert found.values["tone"][1].tolist() == [0.0]
    assert 0 < float(found.values["tone"][0]) <= found.scales["tone"].largest
    less = replace(found, values={"tone": torch.zeros(2, 1)})
    assert (torch.tensor(REST) + less.share(limited, torch.tensor(FIRST))).argmin(1).tolist() != [1, 2]


def test_where_no_text_is_inside_the_start_lets_the_nearest_win():
    found, limited = looked([[1.0, 3.0, 2.0, 4.0]], [[13.0, 10.0, 12.0, 6.0]])
    total = torch.tensor([[13.0, 10.0, 12.0, 6.0]]) + found.share(limited, torch.tensor([[1.0, 3.0, 2.0, 4.0]]))
    assert int(total.argmin()) == 0


def test_it_rises_outside_falls_inside_and_keeps_its_bounds():
    found, limited = looked(FIRST, REST)
    largest = found.scales["tone"].largest
    path = []
    for step in range(30):
        found.tell(
            [limited], Clock(step, 0.0), {"tone": torch.tensor([[1.0, 1.0, 1.0, 1.0], [-1.0, -1.0, -1.0, 0.5]])}, None
        )
        path.append(found.values["tone"].flatten().tolist())
    rising, falling = zip(*path, strict=True)
    assert list(rising) == sorted(rising)
    assert rising[0] < rising[5] < rising[-1] == pytest.approx(largest)
    assert set(falling) == {0.0}
    for step in range(30):
        found.tell([limited], Clock(step, 0.0), {"tone": torch.full((2, 4), -1.0)}, None)
    assert found.values["tone"].tolist() == [[0.0], [0.0]]


def test_only_what_a_chain_accepted_counts_and_a_rejected_chain_keeps_its_reading():
    still, limited = looked(FIRST, REST)
    moved, _ = looked(FIRST, REST)
    proposed, none = torch.full((2, 4), 5.0), torch.zeros(2, 4)
    for found, values in ((still, proposed), (moved, torch.tensor(FIRST))):
        found.tell([limited], Clock(0, 0.0), {"tone": values}, none)
    assert torch.equal(still.values["tone"], moved.values["tone"])
    still.tell([limited], Clock(1, 0.0), {"tone": proposed}, torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0] * 4]))
    moved.tell([limited], Clock(1, 0.0), {"tone": torch.tensor([[5.0, *FIRST[0][1:]], FIRST[1]])}, None)
    assert torch.equal(still.values["tone"], moved.values["tone"])


def test_the_unit_of_a_reading_and_that_of_the_energy_do_not_matter():
    ones, limited = looked(FIRST, REST)
    thousands, _ = looked([[1000 * x for x in row] for row in FIRST], [[7 * x for x in row] for row in REST])
    for step in range(3):
        ones.tell([limited], Clock(step, 0.0), {"tone": torch.tensor(FIRST)}, None)
        thousands.tell([limited], Clock(step, 0.0), {"tone": 1000 * torch.tensor(FIRST)}, None)
    torch.testing.assert_close(thousands.values["tone"], ones.values["tone"] * 7 / 1000)
    share, scaled = ones.share(limited, torch.tensor(FIRST)), thousands.share(limited, 1000 * torch.tensor(FIRST))
    torch.testing.assert_close(scaled, 7 * share, rtol=1e-4, atol=1e-4)


def test_a_reading_that_is_the_same_for_all_first_texts_has_a_unit_all_the_same():
    scale = scale_of(torch.full((2, 3, 1), 4.0), torch.tensor(REST)[:, :3])
    assert scale.unit == 4.0
    assert scale_of(torch.zeros(2, 3, 1), torch.zeros(2, 3)).unit == 1.0
    assert scale.largest == pytest.approx(LARGEST * spread(torch.tensor(REST)[:, :3]) / 4.0)


def test_the_spread_is_that_within_prompts_and_leaves_out_what_is_not_finite():
    values = torch.tensor([[1.0, 3.0, torch.inf], [101.0, 103.0, 105.0]])
    assert spread(values) == pytest.approx(((1 + 1 + 4 + 0 + 4) / 3) ** 0.5)
    assert spread(torch.tensor([[1.0], [3.0]])) == pytest.approx(2**0.5)
    assert spread(torch.tensor([[7.0]])) == 0.0


def test_too_few_texts_are_measured_together_with_base_samples():
    limited, found = term(prompts=1), Multipliers()
    assert found.waits([limited])
    drawn = {"tone": torch.tensor([FIRST[0]]), "rest": torch.tensor([REST[0]])}
    found.measure(problem_of(limited, drawn), {"tone": torch.tensor([[2.0]]), "rest": torch.tensor([[9.0]])})
    assert not found.waits([limited])
    whole, _ = looked([[2.0, *FIRST[0]]], [[9.0, *REST[0]]])
    assert (found.scales, found.drawn) == (whole.scales, 4)
    assert torch.equal(found.values["tone"], whole.values["tone"])
    assert found.own["tone"].tolist() == [[[2.0]]]
    enough, _ = looked(FIRST, REST)
    assert enough.drawn == 0


def test_with_a_law_they_stand_still_from_the_middle_of_the_run_on():
    found, limited = looked(FIRST, REST, freezes=True)
    outside = {"tone": torch.full((2, 4), 1.0)}
    found.tell([limited], Clock(0, 0.0), outside, None)
    assert not found.are_constant
    before = found.values["tone"].clone()
    found.tell([limited], Clock(1, 0.5), outside, None)
    found.tell([limited], Clock(2, 0.2), outside, None)  # a prolonged run
    assert found.frozen == 1
    assert found.are_constant
    assert torch.equal(found.values["tone"], before)


def test_they_come_back_from_a_checkpoint_as_they_were():
    found, limited = looked(FIRST, REST)
    for step in range(5):
        found.tell([limited], Clock(step, 0.0), {"tone": torch.tensor(FIRST) + step}, None)
    tensors: dict[str, torch.Tensor] = {}
    saved = unpack(json.loads(json.dumps(pack(found.state(), "limits", tensors))), tensors)
    again = Multipliers()
    again.load_state(saved)
    for each in (found, again):
        each.tell([limited], Clock(5, 0.0), {"tone": torch.tensor(FIRST)}, torch.ones(2, 4))
    assert again.state()["path"] == found.state()["path"]
    assert torch.equal(again.values["tone"], found.values["tone"])


def test_the_path_of_a_long_run_is_short_and_goes_to_its_end():
    found, limited = looked(FIRST, REST)
    for step in range(1000):
        found.tell([limited], Clock(step, 0.0), {"tone": torch.tensor(FIRST) - step % 2}, None)
    path = found.path_of("tone", 0)
    assert path[0][0] == 0
    assert len(path) <= POINTS
    assert path[-1][0] > 900


def test_it_doubles_as_long_as_no_text_has_been_inside():
    outside = {"tone": torch.full((2, 4), 0.1)}
    found, limited = looked([FIRST[0], [1.0, 2.0, 3.0, 1.5]], REST)
    found.values["tone"] = torch.full((2, 1), 2.0)
    found.tell([limited], Clock(0, 0.0), outside, None)
    step = 0.1 * found.scales["tone"].stiffness
    torch.testing.assert_close(found.values["tone"], torch.tensor([[2.0 + step], [4.0 + step]]))
    found.values["tone"] = torch.full((2, 1), 2.0)
    found.tell([limited], Clock(1, 0.0), {"tone": torch.tensor([[0.1] * 4, [0.3, 0.3, 0.0, -0.2]])}, None)
    torch.testing.assert_close(found.values["tone"], torch.full((2, 1), 2.0 + step))


def test_each_end_has_a_multiplier_and_the_slope_goes_back_between_them():
    band = PromptLimits((-1.0,), (1.0,), "multiplier", -1.0)  # of a reward
    limited = replace(term(), limit=band)
    found = measured(limited, [[0.0, 0.5, -0.5, 0.2]], [REST[0]])
    assert found.values["tone"].tolist() == [[0.0, 0.0]]
    for energy, slope in ((3.0, -1.0), (-3.0, 1.0)):  # a reading of −3 is too small: the energy has to fall
        moved = Multipliers()
        moved.load_state(found.state())
        moved.tell([limited], Clock(0, 0.0), {"tone": torch.full((1, 4), energy)}, None)
        assert float(moved.slope(limited)) * slope < 0
        assert sum(x > 0 for x in moved.values["tone"][0].tolist()) == 1
        lower = moved.share(limited, torch.tensor([[energy, 0.0, -energy]]))[0].tolist()
        assert lower[1] < lower[2] < lower[0]


def test_a_limit_that_is_not_active_stays_as_it_is():
    found, limited = looked(FIRST, REST)
    late = replace(limited, weight=Weight(active=(0.5, 1.0)))
    before = found.values["tone"].clone()
    found.tell([late], Clock(0, 0.2), {"tone": torch.full((2, 4), 1.0)}, None)
    assert torch.equal(found.values["tone"], before)
    found.tell([late], Clock(1, 0.6), {"tone": torch.full((2, 4), 1.0)}, None)
    assert not torch.equal(found.values["tone"], before)
