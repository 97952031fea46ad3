"""Numbers that are not finite: which chain stops, who is named, and what the others do."""

from __future__ import annotations

import functools
import json
from dataclasses import replace

import pytest
import torch

from sea_toolkit.errors import ModelError, NumericalError, PluginError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.run_state import RunState
from sea_toolkit.registry.blame import Owner
from sea_toolkit.relaxations.base import Relaxation
from sea_toolkit.testing.tiny import BOS, EOS, PAD, tiny_model, tiny_tokenizer
from tests.helpers import noise_for, problem_for, random_ids, run_for, warmth

BY_GRADIENT = ["sea", "sea-adam", "sea-guided", "tilted", "tilted-exact", "discrete-langevin", "mala", "psgld"]


class Slope(torch.autograd.Function):
    """The same value; the slope of prompt 1, chain 1 is `slope`, or `ValueError` if that is None."""

    @staticmethod
    def forward(ctx, value, slope):
        ctx.slope = slope
        return value.clone()

    @staticmethod
    def backward(ctx, slopes):
        if ctx.slope is None:
            raise ValueError("no way back")
        slopes = slopes.clone()
        slopes[0, 0] = ctx.slope
        return slopes, None


def with_slope(slope):
    return lambda response: Slope.apply(warmth(response), slope)


def answers(run):
    return [[(c.text, c.energy) for c in result.candidates] for result in run.execute()]


@pytest.mark.parametrize("sampler", BY_GRADIENT)
def test_a_slope_that_is_not_finite_stops_its_chain_and_names_its_energy(sampler):
    settings = {"sampler": sampler, "steps": 1, "max_new_tokens": 4}
    run = run_for(energies={"calm": (1.0, warmth), "steep": (2.0, with_slope(float("nan")))}, **settings)
    found = answers(run)
    assert run.problem.stopped.tolist() == [[True, False], [False, False]]
    assert run.problem.run.incidents == [
        "prompt 1, chain 1 stopped: the gradient of energy 'steep' was not finite at step 0"
    ]
    if sampler == "tilted":
        plain = answers(run_for(energies={"calm": (1.0, warmth), "steep": (2.0, warmth)}, **settings))
        assert found[1] == plain[1], "the other prompt is as it was"
    with pytest.raises(PluginError, match=r"steep.* failed in the backward pass.*: ValueError: no way back"):
        run_for(energies={"calm": (1.0, warmth), "steep": (2.0, with_slope(None))}, **settings).execute()


def test_a_slope_that_is_infinite_or_of_a_root_at_zero_is_one_as_well():
    def root(response):
        return warmth(response) + (0.0 * response.expected_length()).sqrt()

    for energy, count in ((with_slope(float("inf")), 1), (root, 4)):
        run = run_for(energies={"steep": (1.0, energy)}, sampler="tilted", steps=1, max_new_tokens=4)
        run.execute()
        assert int(run.problem.stopped.sum()) == count


def test_a_wall_of_infinite_energy_has_no_slope_and_stops_nothing():
    def wall(response):
        even = (response.ids.sum(-1) % 2 == 0).float()
        return -torch.log(even * response.expected_length())

    for sampler in ("tilted", "discrete-langevin"):
        run = run_for(energies={"wall": (1.0, wall)}, sampler=sampler, steps=3, chains=6, max_new_tokens=4)
        texts = answers(run)
        assert not run.problem.stopped.any(), sampler
        assert any(energy == float("inf") for row in texts for _, energy in row)


@pytest.mark.parametrize("sampler", ["tilted", "tilted-exact"])
def test_a_huge_slope_gives_no_empty_proposals(sampler):
    run = run_for(energies={"steep": (1.0, with_slope(1e30))}, sampler=sampler, steps=3, max_new_tokens=4)
    assert all(text for row in answers(run) for text, _ in row)
    assert not run.problem.stopped.any()


class Failing(Policy):
    """Its logits are NaN where a hidden state says so: never after the prompt, now and then in an answer."""

    def logits(self, hidden):
        bad = (hidden[..., :1] > 0.8) & torch.tensor(hidden.ndim > 1)
        return torch.where(bad, torch.nan, super().logits(hidden))


@pytest.fixture(scope="module")
def failing():
    return Failing(tiny_model(), tiny_tokenizer(), name="theirs")


@pytest.mark.parametrize("sampler", ["sea", "mala", "tilted", "discrete-langevin", "args", "smc", "best-of-n"])
def test_logits_that_are_not_finite_stop_the_chain_and_name_the_policy(sampler, failing):
    run = run_for(policy=failing, sampler=sampler, steps=2, chains=3, max_new_tokens=6)
    results = run.execute()
    assert run.problem.run.incidents
    for incident in run.problem.run.incidents:
        assert "policy 'theirs' was not finite" in incident
    stopped = run.problem.stopped
    assert stopped.any()
    for result, row in zip(results, stopped.tolist(), strict=True):
        for chain, over in zip(result.chains, row, strict=True):
            assert over or chain["start_energy"] is not None
        assert all(c.terms["reference"] > 0 for c in result.candidates if c.energy < float("inf")), "nothing is free"


def test_a_policy_without_any_finite_logit_is_refused_before_a_run():
    model = tiny_model()
    with torch.no_grad():
        model.model.norm.weight[0] = torch.nan
    with pytest.raises(ModelError, match=r"theirs .* gives logits that are not finite[\s\S]*float32"):
        Policy(model, tiny_tokenizer(), name="theirs")
    policy = Policy(tiny_model(), tiny_tokenizer(), name="theirs")
    plain = policy.logits
    policy.logits = lambda hidden: plain(hidden) * torch.nan
    with pytest.raises(ModelError, match="theirs gives logits that are not finite"):
        problem_for(policy=policy)


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("normalize", ["sum", "mean"])
@pytest.mark.parametrize("locked", [True, False])
def test_special_tokens_alone_cost_what_the_policy_charges_for_them(known, normalize, locked):
    begin = {"initializer": {"name": "prefilled", "text": "the rain", "locked": True}} if locked else {}
    energies = [{"name": "reference", "normalize": normalize}, {"name": "length", "target": 0.0}]
    problem = problem_for(recipe={"energies": energies, **begin}, sampler="best-of-n", chains=4)
    ids = torch.stack([torch.full((problem.length,), token) for token in (PAD, BOS, 40, 41)])[None]
    ids[0, 2, 1:] = PAD  # one token that is read
    log_prob = problem.policy.log_prob(problem.prefix, ids)
    found = problem.score_as_text(ids, log_prob if known else None)
    beginning = "the rain" if locked else ""
    assert found.texts[0][:3] == [beginning, beginning, beginning + problem.policy.text(ids)[0][2]]
    expected = -log_prob.sum(-1) - (problem.locked.log_prob[:, None] if locked else 0.0)
    size = float(problem.with_locked_prefix(ids).shape[-1])
    assert found.length[0, :3].tolist() == [size] * 3
    torch.testing.assert_close(found.nll[0, :3], expected[0, :3], rtol=1e-4, atol=1e-3)
    value = found.energies.terms["reference"] * (size if normalize == "mean" else 1.0)
    torch.testing.assert_close(value[0, :3], expected[0, :3], rtol=1e-4, atol=1e-3)
    # what has ended is a text by itself
    ended = ids.clone()
    ended[0, :2, 2:] = EOS
    again = problem.score_as_text(ended)
    assert again.length[0, :2].tolist() == [size - problem.length + 1.0] * 2


def test_weights_of_a_relaxation_that_are_not_finite_name_it_and_its_chain():
    def torn(logits):
        weights = logits.softmax(-1)
        weights[0, 1, 0, 0] = torch.nan
        return weights

    problem = problem_for(prompts=["a", "the"])
    problem = replace(
        problem, relaxation=Relaxation(functools.partial(torn), problem.clock, owner=Owner("relaxation 'torn'"))
    )
    z = torch.zeros(2, 2, 10, 128)
    response = problem.relax(z, None, noise_for(problem))
    assert response.weights.isfinite().all()
    assert problem.run.incidents == [
        "prompt 1, chain 2 stopped: a weight of relaxation 'torn' was not finite at step 0"
    ]
    z[1, 0, 0, 0] = torch.nan
    problem.relax(z, None, noise_for(problem))
    assert problem.run.incidents[1] == "prompt 2, chain 1 stopped: a logit of the sampler was not finite at step 0"


def test_where_every_text_is_infinite_the_energy_is_named():
    def wall(response):
        return warmth(response) + torch.tensor([torch.inf, 0.0])[: response.shape[0], None]

    results = run_for(energies={"wall": (1.0, wall)}, sampler="suffix-mh", steps=1).execute()
    assert "prompt 1: no text has a finite energy: energy 'wall' was +inf for all" in results[0].notes
    with pytest.raises(NumericalError, match=r"no text has a finite energy: energy 'wall' was \+inf\n"):
        run_for(energies={"wall": (1.0, wall)}, prompts=["a"], sampler="suffix-mh", steps=1).execute()


def test_what_an_energy_returned_does_not_change_when_it_writes_into_its_own_memory():
    kept = {}

    def forgetful(response):
        value = kept.setdefault("value", torch.zeros(response.shape[:2]))
        value.copy_(warmth(response).detach())
        return value

    def scored(prompts, texts):
        value = kept.setdefault("texts", torch.zeros(len(texts)))
        value.fill_(float(len(kept)))
        return value

    (soft,) = problem_for({"forgetful": (1.0, forgetful)}).rewards
    first = soft(problem_for().as_text(random_ids(1, 2, 10))[1])
    (hard,) = problem_for({"scored": (1.0, scored)}, sampler="best-of-n").rewards
    second = hard.score_text(["a"], [["b", "c"]])
    before = first.clone(), second.clone()
    for memory in kept.values():
        memory.fill_(torch.nan)
    assert torch.equal(first, before[0])
    assert torch.equal(second, before[1])


def test_many_chains_that_stop_for_one_reason_are_one_note():
    problem = problem_for(prompts=["a", "on", "in", "at", "the"], chains=4)
    broken = torch.zeros(5, 4, dtype=torch.bool)
    broken[1, 1:3] = True
    problem.run.stop("energy 'm'", broken)
    broken[:] = True
    problem.run.clock.step = 3
    problem.run.stop("energy 'm'", broken)
    expected = [
        "prompt 2, chains 2, 3 stopped: energy 'm' was not finite at step 0",
        "18 chains of 5 prompts (1, 2, 3, …) stopped: energy 'm' was not finite at step 3",
    ]
    assert problem.run.incidents == expected
    again = problem_for(prompts=["a", "on", "in", "at", "the"], chains=4).run
    again.load_state(json.loads(json.dumps(problem.run.state() | {"stopped": None})) | {"stopped": problem.stopped})
    assert again.incidents == expected


def test_texts_that_are_left_out_are_counted_in_one_note():
    fussy = {"fussy": (1.0, lambda prompts, texts: [float("nan") if len(t) % 2 else 0.0 for t in texts])}
    run = run_for(energies=fussy, sampler="smc", steps=6, chains=2, max_new_tokens=6)
    results = run.execute()
    counted = [note for note in results[0].notes if "left out" in note]
    assert len(counted) == 1
    assert "texts left out: energy 'fussy' was not finite in steps 0 to" in counted[0]
    state = run.problem.run
    again = RunState.begin(state.ledger, state.clock, 2, 2, torch.device("cpu"))
    plain = json.loads(json.dumps({k: v for k, v in state.state().items() if k != "stopped"}))
    again.load_state(plain | {"stopped": state.stopped})
    assert again.incidents == state.incidents


def test_the_smallest_step_size_proposes_the_text_itself():
    for step_size in (1e-300, 1e-45):
        run = run_for(sampler={"name": "discrete-langevin", "step_size": step_size}, steps=2, max_new_tokens=5)
        for result in run.execute():
            assert {c.text for c in result.candidates} == {c["start"] for c in result.chains}
