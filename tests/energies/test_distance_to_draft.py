"""The energy `distance-to-draft`: the edit distance of token sequences, and a relaxation that agrees with it."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.distance_to_draft import DraftDistance
from sea_toolkit.errors import RecipeError
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.tiny import EOS
from tests.helpers import PROMPTS, hub, problem_for, tiny_policy


def edits(a, b):
    """Levenshtein, by its recursion."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


def bound(*drafts):
    width = max(map(len, drafts))
    ids = torch.tensor([[*d, *[EOS] * (width - len(d))] for d in drafts])
    return DraftDistance(ids, torch.tensor([len(d) for d in drafts])).energy


tokens = st.lists(st.sampled_from([5, 6, 7, 8]), max_size=7)


@settings(max_examples=100)
@given(tokens, tokens.filter(bool), tokens.filter(bool))
def test_a_hard_response_has_its_edit_distance(answer, draft, other):
    ids = torch.tensor([[[*answer, *[EOS] * (8 - len(answer))]]] * 2)
    found = bound(draft, other)(SoftResponse.from_ids(ids, (EOS,)))
    assert found.tolist() == [[edits(answer, draft)], [edits(answer, other)]]


def test_without_an_end_the_whole_run_counts():
    ids = torch.tensor([[[5, 6, 7, 8]]])
    assert bound([6, 7])(SoftResponse.from_ids(ids, (EOS,))).item() == 2


def test_where_only_the_end_is_uncertain_it_is_the_expectation():
    """Each position ends the text or holds a sure token: the mean over the lengths."""
    text, draft, p = [5, 6, 7], [5, 7, 8, 9], [0.1, 0.4, 0.7]
    weights = torch.zeros(1, 1, 3, 128)
    expected, alive = 0.0, 1.0
    for t, end in enumerate(p):
        weights[..., t, EOS], weights[..., t, text[t]] = end, 1 - end
        expected += alive * end * edits(text[:t], draft)
        alive *= 1 - end
    # a token is in line with the draft's as far as it is there at all
    sure = [[1 - (1 - p[t]) * (text[t] == d) for d in draft] for t in range(3)]

    def soft(n):
        best = float("inf")
        for kept in range(min(n, len(draft)) + 1):
            for left in itertools.combinations(range(n), kept):
                for right in itertools.combinations(range(len(draft)), kept):
                    cost = n + len(draft) - 2 * kept + sum(sure[i][j] for i, j in zip(left, right, strict=True))
                    best = min(best, cost)
        return best

    alive, total = 1.0, 0.0
    for t, end in enumerate(p):
        total += alive * end * soft(t)
        alive *= 1 - end
    total += alive * soft(3)
    found = bound(draft)(SoftResponse.from_weights(weights, None, (EOS,)))
    assert found.item() == pytest.approx(total, abs=1e-5)


def test_a_replacement_has_a_slope_towards_the_draft():
    tapped = SoftResponse.from_ids(torch.tensor([[[5, 9, 7]]]), (EOS,)).with_gradient_taps()
    slope = tapped.taps.gradient(bound([5, 6, 7])(tapped).sum())
    assert slope.over_vocabulary(1, 128)[0, 0, 6] == -1.0
    assert slope.over_vocabulary(1, 128)[0, 0, 9] == 0.0


@pytest.mark.parametrize("text", ["the rain", ["the rain in the town", "a", "on and off"]])
def test_it_keeps_its_promises(text):
    prompts = {} if isinstance(text, str) else {"lacks": ["prompts permute", "prompts alone"]}
    check_energy("distance-to-draft", Setting(hub=hub(), texts=["the rain", "rain in the town"], **prompts), text=text)


def test_drafts_go_with_their_prompts():
    drafts = ["the rain", "a", "on and off"]
    recipe = {"energies": [{"name": "distance-to-draft", "text": drafts}]}
    (term,) = problem_for(recipe=recipe, prompts=PROMPTS).terms
    policy = tiny_policy()
    own = policy.from_text([[d, "x"] for d in drafts], torch.ones(3, 2, dtype=torch.bool))
    assert term(own)[:, 0].tolist() == [0.0] * 3
    assert (term(own)[:, 1] > 0).all()


@pytest.mark.parametrize("text", ["", ["a"], ["a", " ", "b"]])
def test_drafts_that_do_not_fit_are_refused(text):
    with pytest.raises(RecipeError, match="draft"):
        problem_for(recipe={"energies": [{"name": "distance-to-draft", "text": text}]}, prompts=PROMPTS)
