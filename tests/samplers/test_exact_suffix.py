"""`suffix-mh` and `tilted-exact` sample exp(−β E): their chains against the enumerated law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.runs.own_models import ClassifierReward
from sea_toolkit.testing.foreign import foreign_classifier
from sea_toolkit.testing.toys import EOS, Toy, distance, energies_of, index_of, law_of, measure, policy

CASES = [(Toy(4, 4), 1.0), (Toy(6, 2, reference=0.5), 1.0), (Toy(5, 3), 2.0)]


@pytest.mark.parametrize("toy", [Toy(4, 3), Toy(5, 2, reference=0.5)])
def test_a_response_scored_by_the_toolkit_has_the_enumerated_energy(toy):
    problem = toy.problem("suffix-mh", len(toy.responses))
    rows = [[*r, *[EOS] * (toy.length - len(r))] for r in toy.responses]
    ids = torch.tensor(rows)[None]
    assert index_of(toy, ids[0]).tolist() == list(range(len(rows)))
    scored = problem.score_as_text(ids)
    torch.testing.assert_close(scored.energies.total[0].double(), energies_of(toy), atol=2e-5, rtol=1e-5)


def test_the_laws_are_spread_and_lopsided():
    for toy, beta in CASES:
        law = law_of(toy, beta)
        assert 5 < float((-(law * law.log()).sum()).exp()) < 0.7 * len(law)
        full = [i for i, r in enumerate(toy.responses) if EOS not in r]
        backwards = index_of(toy, torch.tensor([toy.responses[i][::-1] for i in full]))
        assert float((law[full] - law[backwards]).abs().sum() / law[full].sum()) > 0.1
        ended = sum(float(p) for p, r in zip(law, toy.responses, strict=True) if r[-1] == EOS)
        assert 0.03 < ended < 0.97


def test_the_distance_of_independent_draws_is_within_what_is_allowed():
    law = law_of(Toy(5, 3))
    g = torch.Generator().manual_seed(0)
    draws = torch.multinomial(law, 20_000, replacement=True, generator=g).view(500, 40)
    visits = torch.stack([torch.bincount(d, minlength=len(law)) / 40 for d in draws]).double()
    found = distance(visits, law)
    assert found
    assert found.ess == pytest.approx(20_000, rel=0.1)
    shifted = law.clone()
    shifted[0] += 0.05
    assert not distance(visits, shifted / shifted.sum())


@pytest.mark.parametrize(("toy", "beta"), CASES)
@pytest.mark.parametrize(
    "sampler",
    [{"name": "suffix-mh"}, {"name": "tilted-exact", "temperature": 0.8}, {"name": "suffix-mh", "tries": 3}],
    ids=str,
)
def test_the_chains_follow_the_law(sampler, toy, beta):
    found = measure(toy, sampler | {"inverse_temperature": beta}, beta=beta)
    assert found.ess > 4000
    assert found, found


@dataclass(frozen=True)
class Power(Toy):
    """The reference alone, so that the law is π^α."""

    terms: ClassVar[dict[str, Any]] = {}


def test_the_reference_alone_with_another_weight_is_a_power_of_the_policy():
    alpha = 2.0
    log_prob = energies_of(Toy(5, 3)) - energies_of(Toy(5, 3, reference=2.0))
    law = (alpha * log_prob).softmax(0)
    assert float((law - log_prob.exp()).abs().sum() / 2) > 0.1  # another law than the policy's own
    toy = Power(5, 3, reference=alpha)
    sampler, problem = toy.build("auto", 1)
    assert sampler.proposal.temperature_in(problem) == 1 / alpha
    for chosen in ("auto", {"name": "suffix-mh", "temperature": 1.0}):
        found = measure(toy, chosen, law=law, chains=256)
        assert found.ess > 1500
        assert found, found


def test_a_strong_tilt_changes_how_fast_and_not_where_to():
    options = {"name": "tilted-exact", "strength": 20.0, "spread": 1.5, "clip": 2.0}
    found = measure(Toy(5, 3), options)
    assert found.ess > 4000
    assert found, found


def test_the_end_of_text_is_tilted_too():
    """The toy's energy depends on where the text ends; its slope says so."""
    toy = Toy(5, 3, text_term=False)
    made, problem = toy.build({"name": "tilted-exact", "strength": 1.0, "spread": 100.0, "clip": 100.0}, 1)
    ids = torch.tensor([[[1, 2, 3]]])
    scored = problem.score_as_text(ids, gradients=True)
    weights = torch.nn.functional.one_hot(ids, toy.vocab).float().requires_grad_()
    (pull,) = problem.rewards
    (expected,) = torch.autograd.grad(1.2 * pull(SoftResponse.from_weights(weights, None, (EOS,))).sum(), weights)
    gradient_state = made.proposal.update_gradient_state(problem, scored, None)
    tilt, wanted = made.proposal.tilt(problem, gradient_state), -expected.mean(2)
    torch.testing.assert_close(tilt, wanted - wanted.mean(-1, keepdim=True), atol=1e-5, rtol=1e-4)
    assert abs(float(wanted[..., EOS])) > 0.05
    assert policy(toy.vocab).eos_ids == (EOS,)


@dataclass(frozen=True)
class ForeignToy(Toy):
    """A toy whose reward is a classifier with word pieces."""

    @property
    def terms(self) -> dict[str, tuple[float, Any]]:
        return {"foreign": (1.5, ClassifierReward(*foreign_classifier(), reads="response"))}

    @property
    def law(self) -> torch.Tensor:
        """exp(−E) by both models' own forward passes."""
        model, tokenizer = foreign_classifier()
        base, energies = policy(self.vocab), []
        prompt = base.tokenizer("ab").input_ids
        for response in self.responses:
            pieces = tokenizer(base.decode(response), return_tensors="pt").input_ids
            with torch.no_grad():
                logits = base.model(torch.tensor([[*prompt, *response]])).logits[0].log_softmax(-1)
                reward = float(model(pieces).logits)
            log_pi = sum(float(logits[len(prompt) - 1 + t, token]) for t, token in enumerate(response))
            energies.append(-log_pi - 1.5 * reward)
        return (-torch.tensor(energies, dtype=torch.float64)).softmax(-1)


def test_the_chains_follow_the_law_of_a_reward_with_another_tokenizer(monkeypatch, tmp_path):
    """The gradient is bridged and mixed with the scores of words: it changes how fast and not where to."""
    monkeypatch.setenv("SEA_CACHE", str(tmp_path))
    toy, options = ForeignToy(4, 2), {"name": "tilted-exact", "strength": 20.0, "spread": 1.0}
    found = measure(toy, options, law=toy.law, chains=96, steps=60, burn=10)
    assert found.ess > 1000
    assert found, found
