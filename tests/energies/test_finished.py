"""The energy `finished`: 0 for what ended by itself, 1 for what was cut; it chooses, and does not tilt."""

from __future__ import annotations

import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.finished import unfinished
from sea_toolkit.testing.tiny import EOS
from tests.helpers import random_ids, run_for


def test_a_text_that_ended_costs_nothing_wherever_it_ended():
    ids = random_ids(1, 4, 6)
    ids[0, 0, 0], ids[0, 1, 5], ids[0, 2, 2:] = EOS, EOS, EOS
    assert unfinished(SoftResponse.from_ids(ids, (EOS,))).tolist() == [[0.0, 0.0, 0.0, 1.0]]
    cut = torch.ones_like(ids, dtype=torch.bool)
    cut[0, 1, 5] = False  # padding that looks like an end
    assert unfinished(SoftResponse.from_ids(ids, (EOS,), cut)).tolist() == [[0.0, 1.0, 0.0, 1.0]]


def test_a_finished_answer_wins_where_it_is_asked_for():
    def ends(weight):
        recipe = {"energies": [{"name": "reference"}, {"name": "finished", "weight": weight}]}
        run = run_for(recipe=recipe, energies={}, budget=64, chains=None, max_new_tokens=10)
        results = run.execute()
        assert run.name == "best-of-n"  # without a gradient
        assert all(c.terms["finished"] == (not c.finished) for r in results for c in r.candidates)
        return [r.finished[1] for r in results]

    assert ends(1000.0) == [True, True]
    assert ends(-1000.0) == [False, False]
