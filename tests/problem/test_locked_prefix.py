"""A locked text: every answer of every sampler begins with it, and the law is that of answers which do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.problem import Problem
from sea_toolkit.runs.recipe import RewriteSpec
from sea_toolkit.runs.rewrite import rewrite
from sea_toolkit.samplers.suffix_mh import SuffixMH
from sea_toolkit.testing import Setting, check_initializer
from sea_toolkit.testing.initializers import PROPERTIES as INITIALIZER
from sea_toolkit.testing.runs import timeless
from sea_toolkit.testing.tiny import EOS
from sea_toolkit.testing.toys import Toy, distance, index_of, law_of
from tests.helpers import PROMPTS, hub, noise_for, one_hot, problem_for, random_ids, run_for, warmth

TEXT = "the rain"
LOCKED = {"name": "prefilled", "text": TEXT, "locked": True}
OWN = {"warmth": (4.0, warmth)}
SAMPLERS = [
    {"name": "best-of-n"}, {"name": "suffix-mh"}, {"name": "tilted"}, {"name": "tilted-exact"},
    {"name": "discrete-langevin", "step_size": 1.0}, {"name": "mala", "step_size": 1.0, "check_every": 1},
    {"name": "psgld", "step_size": 1.0, "check_every": 1}, {"name": "sea", "step_size": 2.0, "check_every": 1},
    {"name": "sea-adam", "learning_rate": 1.0}, {"name": "args", "top_k": 4}, {"name": "chunk-beam", "chunk": 3},
    {"name": "smc", "chunk": 3, "particles": 4}, {"name": "sea-guided"}, {"name": "sea-guided-exact"},
]  # fmt: skip


def problems(**settings):
    """With the locked text, and the same without."""
    settings = {"prompts": PROMPTS, "max_new_tokens": 10, "sampler": "suffix-mh"} | settings
    locked = problem_for(OWN, recipe={"initializer": LOCKED}, **settings)
    return locked, problem_for(OWN, recipe={}, **settings)


@pytest.mark.parametrize("normalize", ["sum", "mean"])
@pytest.mark.parametrize("known", [True, False])
def test_energies_read_the_whole_answer(known, normalize):
    energies = {"energies": [{"name": "reference", "normalize": normalize}]}
    locked = problem_for(OWN, recipe={"initializer": LOCKED} | energies, prompts=PROMPTS)
    free = problem_for(OWN, recipe=energies, prompts=PROMPTS)
    count = len(locked.locked)
    assert (locked.length, free.length) == (10 - count, 10)
    ids = random_ids(3, 2, locked.length)
    ids[0, 1, 2:] = EOS
    whole = locked.with_locked_prefix(ids)
    assert torch.equal(whole[..., count:], ids)
    log_prob = locked.policy.log_prob(locked.prefix, ids) if known else None
    found, expected = locked.score_as_text(ids, log_prob), free.score_as_text(whole)
    assert all(text.startswith(TEXT) for row in found.texts for text in row)
    assert found.texts == expected.texts
    assert torch.equal(found.ids, ids)
    torch.testing.assert_close(found.energies.total, expected.energies.total, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found.nll, expected.nll, rtol=1e-4, atol=1e-3)
    weights = locked.policy_weight(found.length - count)
    torch.testing.assert_close(weights, free.policy_weight(found.length))


def test_what_is_known_of_the_locked_text_is_not_run_again():
    locked, _ = problems()
    ids = noise_for(locked).uniform(2, locked.length).mul(20).long() + 10
    spent = locked.ledger.models["policy"].forward
    scored = locked.score_as_text(ids, locked.policy.log_prob(locked.prefix, ids))
    rerun = sum(
        locked.policy.tokenizer(t, add_special_tokens=False).input_ids != w
        for row, whole in zip(scored.texts, locked.with_locked_prefix(ids).tolist(), strict=True)
        for t, w in zip(row, whole, strict=True)
    )
    assert rerun < 6
    assert locked.ledger.models["policy"].forward - spent <= rerun * 2 * 12


@pytest.mark.parametrize("form", ["dense", "few"])
def test_a_relaxed_answer_stands_behind_the_text(form):
    locked, free = problems()
    count = len(locked.locked)
    z = torch.randn(3, 2, locked.length, 128 if form == "dense" else 5, generator=torch.Generator().manual_seed(1))
    candidates = None
    full = one_hot(locked.locked.ids).expand(3, 2, -1, -1)
    if form == "few":
        candidates = random_ids(3, 2, locked.length, 5, seed=4)
        wide = torch.zeros(3, 2, locked.length, 128).scatter_add(-1, candidates, z.softmax(-1))
    else:
        wide = z.softmax(-1)
    z.requires_grad_()
    found = locked.energy(SoftResponse.from_weights(z.softmax(-1), candidates, (EOS,)))
    expected = free.energy(SoftResponse.from_weights(torch.cat([full, wide], 2), None, (EOS,)))
    torch.testing.assert_close(found.total, expected.total, rtol=1e-4, atol=1e-3)
    (slope,) = torch.autograd.grad(found.total.sum(), z)
    assert slope.shape[2] == 10 - count
    assert bool(slope.abs().sum((-1, -2)).gt(0).all())


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda s: s["name"])
def test_no_sampler_changes_it(sampler, tmp_path):
    run = run_for(recipe={"initializer": LOCKED}, sampler=sampler, steps=3, prompts=PROMPTS[:2])
    results = run.execute()
    texts = {c.text for r in results for c in r.candidates}
    assert len(texts) > 2
    assert all(text.startswith(TEXT) for text in texts)
    assert all(r.law.endswith("given that it begins with 'the rain'") for r in results)
    for result in results:
        assert result.energy[1] <= result.energy[0]
        nll = result.terms["reference"][1] / (result.candidates[0].tokens)
        assert result.nll_per_token[1] == pytest.approx(nll, rel=1e-3)


CUT_OFF = [
    {"name": "suffix-mh"},
    {"name": "tilted-exact", "temperature": 0.8},
    {"name": "discrete-langevin", "step_size": 1.0},
]


def visits_of(toy, sampler, steps=40, burn=20, chains=1024):
    made, problem = toy.build(sampler, chains, initializer={"name": "prefilled", "text": "ba", "locked": True})
    noise = Noise.for_prompts(problem.prompts, 0)
    state, _ = made.init(problem, noise)
    visits = torch.zeros(chains, len(toy.responses), dtype=torch.float64)
    for i in range(burn + steps):
        problem.clock.step = i
        state, _ = made.step(problem, state, noise)
        if i >= burn:
            at = index_of(toy, problem.locked.prepend(made.current(problem, state))[0])
            visits[torch.arange(chains), at] += 1.0 / steps
    return visits


def conditional(toy):
    begins = torch.tensor([r[:2] == (2, 1) for r in toy.responses])
    law = law_of(toy) * begins
    return law / law.sum()


@pytest.mark.parametrize("sampler", CUT_OFF, ids=lambda s: s["name"])
def test_the_chains_follow_the_law_given_the_text(sampler):
    toy = Toy(5, 4)
    found = distance(visits_of(toy, sampler), conditional(toy))
    assert found.ess > 4000
    assert found, found


def test_the_law_of_answers_read_without_the_text_is_another_one(monkeypatch):
    score_as_text = Problem.score_as_text

    def without(self, ids, log_prob=None, **options):
        return score_as_text(replace(self, locked=None), ids, log_prob, **options)

    monkeypatch.setattr(Problem, "score_as_text", without)
    toy = Toy(5, 4)
    assert not distance(visits_of(toy, {"name": "suffix-mh"}), conditional(toy))


def test_a_run_that_goes_on_keeps_it(tmp_path):
    settings = {"recipe": {"initializer": LOCKED}, "sampler": "tilted", "steps": 4, "checkpoint_every": 2}
    whole = [timeless(r.to_dict()) for r in run_for(**settings).execute()]
    run_for(tmp_path, stop_after=2, **settings).execute()
    rest = run_for(tmp_path, **settings)
    rest.resume()
    assert [timeless(r.to_dict()) for r in rest.execute()] == whole


def test_rewrites_begin_with_it_too():
    problem, _ = problems(prompts=PROMPTS[:2])
    scored = rewrite(problem, ["the rain is on", "the rain"], RewriteSpec(samples=3), 0)
    assert all(text.startswith(TEXT) for row in scored.texts for text in row)


def test_a_sample_is_the_drawing_of_what_is_free_and_the_scoring_of_all():
    class Priced:
        def bind(self, context):
            context.use_model("reward:priced", torch.nn.Linear(3, 1), flops_per_token=7.0)
            return lambda response: 0.0 * response.expected_length()

    problem = problem_for({"priced": (1.0, Priced())}, recipe={"initializer": LOCKED})
    policy = problem.policy
    drawing = 2.0 * (policy.body_parameters + policy.head_parameters) * problem.length
    assert problem.sample_flops == drawing + 7.0 * 10


@pytest.mark.parametrize("locked", [True, False])
def test_prefilled_keeps_its_promises(locked):
    absent = set() if locked else {"log π"}
    held = check_initializer("prefilled", Setting(hub=hub()), text="a rain", locked=locked)
    assert set(held) == set(INITIALIZER) - absent


@pytest.mark.parametrize("locked", [True, False])
def test_prefilled_starts_with_the_words(locked):
    problem = problem_for(OWN, recipe={"initializer": LOCKED | {"locked": locked}}, prompts=PROMPTS, chains=3)
    texts = problem.policy.text(problem.with_locked_prefix(problem.start(noise_for(problem)).ids))
    assert all(text.startswith(TEXT) for row in texts for text in row)
    assert len({text for row in texts for text in row}) > 3


def test_unlocked_words_may_be_changed():
    run = run_for(recipe={"initializer": LOCKED | {"locked": False}}, sampler="best-of-n", steps=3)
    assert any(not c.text.startswith(TEXT) for r in run.execute() for c in r.candidates)


@pytest.mark.parametrize("locked", [True, False])
@pytest.mark.parametrize("text", ["", "the rain in the town is on and off or in the town"])
def test_a_text_that_leaves_no_room_is_refused(text, locked):
    def start():
        problem = problem_for(OWN, recipe={"initializer": {"name": "prefilled", "text": text, "locked": locked}})
        problem.start(noise_for(problem))

    with pytest.raises(RecipeError, match=r"has \d+ tokens, and an answer at most 10"):
        start()


def test_a_text_that_the_tokens_cannot_spell_is_refused():
    with pytest.raises(RecipeError, match="expected: a text that its tokens spell"):
        problem_for(OWN, recipe={"initializer": LOCKED | {"text": "è un"}})


def test_a_third_sampler_needs_to_know_nothing():
    """What a sampler writes is behind the text, wherever it gets its ids from."""

    class Blank(SuffixMH):
        def current(self, problem, state):
            return torch.full_like(state.ids, 30)

    problem, _ = problems()
    sampler = Blank()
    state, _ = sampler.init(problem, noise_for(problem))
    assert all(t.startswith(TEXT) for row in problem.score_as_text(sampler.current(problem, state)).texts for t in row)
