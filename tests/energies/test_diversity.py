"""The energy `diversity`: chains that see each other, the samplers that may have it, and the set that a run keeps."""

from __future__ import annotations

import json
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.diversity import Diversity
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.compare import compare
from sea_toolkit.runs.compose import compose
from sea_toolkit.runs.recipe import Recipe
from sea_toolkit.testing import Setting, check_energy
from sea_toolkit.testing.tiny import EOS
from tests.helpers import PROMPTS, hub, run_for, tiny_policy
from tests.runs.test_resume import assert_same

JOINT = {"sea", "sea-adam", "psgld"}
TERMS = [{"name": "reference"}, {"name": "diversity", "weight": 5.0}]


def cosine(a, b):
    a, b = (Counter(row[: row.index(EOS)] if EOS in row else row) for row in (a, b))
    size = sum(x * x for x in a.values()) ** 0.5 * sum(x * x for x in b.values()) ** 0.5
    return sum(a[v] * b[v] for v in a) / size if size else 0.0


rows = st.lists(st.sampled_from([5, 6, 7, 8, EOS]), min_size=5, max_size=5)


@settings(max_examples=100)
@given(st.lists(rows, min_size=6, max_size=6))
def test_texts_have_the_mean_cosine_of_their_token_counts(texts):
    ids = torch.tensor(texts).view(2, 3, 5)
    found = Diversity().energy(SoftResponse.from_ids(ids, (EOS,)))
    for p in range(2):
        for c in range(3):
            others = [cosine(ids[p, c].tolist(), ids[p, d].tolist()) for d in range(3) if d != c]
            assert float(found[p, c]) == pytest.approx(sum(others) / 2, abs=1e-4)


def test_counts_are_expectations():
    weights = torch.randn(1, 2, 4, 128, generator=torch.Generator().manual_seed(0)).softmax(-1)
    response = SoftResponse.from_weights(weights, None, (EOS,))
    expected = (weights * response.alive[..., None]).sum(2)
    expected[..., EOS] = 0.0
    torch.testing.assert_close(response.counts(), expected)
    order = torch.rand(1, 2, 4, 128, generator=torch.Generator().manual_seed(1)).argsort(-1)
    few = SoftResponse.from_weights(weights.gather(-1, order), order, (EOS,)).counts()
    assert few.shape == (1, 2, 2 * 4 * 128)
    # each token has one column for both chains
    torch.testing.assert_close(few.sum(-1), expected.sum(-1))
    torch.testing.assert_close(few @ few.mT, expected @ expected.mT)


def test_it_keeps_its_promises_but_one():
    check_energy("diversity", Setting(hub=hub(), texts=["the rain", "the town", ""], lacks=["chains alone"]))


@pytest.mark.parametrize("item", hub().items("sampler"), ids=lambda item: item.name)
def test_samplers_that_take_chains_one_by_one_are_refused(item):
    recipe = Recipe.parse({"energies": TERMS, "sampler": {"name": item.name, "chains": 2}})
    if item.name in JOINT:
        compose(recipe, hub())
        return
    with pytest.raises(RecipeError, match=rf"diversity.*sampler '{item.name}'[\s\S]*psgld, sea, sea-adam"):
        compose(recipe, hub())


def test_what_cannot_be_right_is_refused():
    for more, word in (
        ({"sampler": {"name": "sea", "chains": 1}}, "there is one"),
        ({"sampler": {"name": "sea"}, "rewrite": {}}, "rewrites compete one by one"),
        ({"sampler": {"name": "tilted"}, "energies": [TERMS[0], {"name": "length", "target": 3}],
          "constraints": [{"name": "diversity", "max": 0.5}]}, "diversity limit"),
    ):  # fmt: skip
        with pytest.raises(RecipeError, match=word):
            compose(Recipe.parse({"energies": TERMS, **more}), hub())
    given = {"samplers": ["sea"], "budgets": [4], "recipe": {"energies": TERMS}, "policy": tiny_policy(), "hub": hub()}
    with pytest.raises(RecipeError, match="compare looks at one answer"):
        compare(["a"], **given)


def test_without_a_sampler_the_choice_is_named():
    with pytest.raises(RecipeError, match=r"sampler 'smc'[\s\S]*name = \"sea\""):
        run_for(recipe={"energies": TERMS}, energies={})


@pytest.mark.parametrize("sampler", ["sea", "psgld", "sea-adam"])
def test_a_run_keeps_the_set_of_the_lowest_total(sampler, tmp_path):
    options = {"name": sampler, "chains": 3} | ({} if sampler == "sea-adam" else {"check_every": 1})
    recipe = {"energies": TERMS, "sampler": options}
    given = {"recipe": recipe, "energies": {}, "prompts": PROMPTS[:2], "steps": 6, "chains": 3}
    results = run_for(tmp_path / "whole", **given).execute()
    lines = [json.loads(line) for line in (tmp_path / "whole" / "trace.jsonl").read_text().splitlines()]
    scored = [line for line in lines if "texts" in line]
    assert len(scored) > 2
    for p, result in enumerate(results):
        best = min(scored, key=lambda line: sum(line["energy"][p]))
        assert [chain["response"] for chain in result.chains] == best["texts"][p]
        assert sorted(c.text for c in result.candidates) == sorted(best["texts"][p])
        assert sum(c["energy"] for c in result.chains) == pytest.approx(sum(best["energy"][p]), rel=1e-4)
        assert sum(c["energy"] for c in result.chains) <= sum(c["start_energy"] for c in result.chains)
    run_for(tmp_path / "cut", stop_after=3, **given).execute()
    again = run_for(tmp_path / "cut", **given)
    again.resume()
    again.execute()
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_chains_move_away_from_each_other():
    """Gradient descent on the logits, without a word on fluency: the set gets more diverse than without the term."""
    found = {}
    for weight in (1e-6, 200.0):
        terms = [{"name": "reference", "weight": 0.0}, {"name": "diversity", "weight": weight}]
        sampler = {"name": "sea", "temperature": 0.0, "step_size": 0.3, "check_every": 1}
        recipe = {"energies": terms, "sampler": sampler}
        run = run_for(recipe=recipe, energies={}, prompts=PROMPTS[:1], steps=15, chains=4)
        run.execute()
        (state,) = [run.state]
        response = SoftResponse.from_ids(run.sampler.current(run.problem, state), (EOS,))
        found[weight] = float(Diversity().energy(response).mean())
    assert found[200.0] < 0.7 * found[1e-6]
