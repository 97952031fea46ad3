"""What the surrogate says of unfinished texts, fitted to whole ones."""

from __future__ import annotations

import torch

from sea_toolkit.lm.decoding import decode
from sea_toolkit.samplers.shared import surrogate as module
from sea_toolkit.samplers.shared.surrogate import Surrogate, met_with, rewards_energy, token_features
from sea_toolkit.samplers.shared.tilt import RunningMean, token_gradients
from tests.helpers import EOS, noise_for, problem_for


def drawn(problem, count, seed):
    """Texts of the policy, scored, and their keys and values."""
    found = decode(problem.policy, problem.prefix, noise_for(problem, seed).uniform(count, 10), keep_cache=True)
    return problem.score_as_text(found.ids, found.log_prob, gradients=True), found.layers


def correlation(a, b):
    a, b = (x - x.mean(-1, keepdim=True) for x in (a, b))
    return float(((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1))).mean())


def beginning(layers, tokens):
    return [(k[..., : tokens - 1, :], v[..., : tokens - 1, :]) for k, v in layers]


def test_a_beginning_is_worth_what_it_adds_to_a_sum_over_its_tokens():
    """`warmth` counts tokens, which is what its gradient says."""
    problem = problem_for(chains=2)
    known, layers = drawn(problem, 48, 0)
    other, other_layers = drawn(problem, 64, 1)
    memory = RunningMean().update(token_gradients(problem, known), None)
    words = RunningMean().direction(problem, memory)[:, 0]
    found = Surrogate.fit(problem, met_with(problem, [], known, layers), words)
    (term,) = problem.rewards
    for tokens in (5, 10):
        ids = other.ids[..., :tokens]
        texts, response, _ = problem.as_text(ids)
        truth = term.weight.fixed * term.of_text(response, problem.prompts, texts)
        assert correlation(found.value(problem, ids, beginning(other_layers, tokens)), truth) > 0.8


def test_what_the_states_tell_is_found_without_a_direction():
    problem = problem_for(chains=2)
    (known, layers), (other, other_layers) = drawn(problem, 96, 0), drawn(problem, 64, 1)
    met = met_with(problem, [], known, layers)
    wanted = torch.randn(1, met[2].shape[-1], generator=torch.Generator().manual_seed(0))
    wanted[:, 0] = 0.0

    def truth(ids, layers):
        return torch.einsum("pntf,pf->pn", token_features(problem, ids, layers), wanted)

    met[1] = torch.stack([met[1][..., 0], truth(known.ids, layers) / 4.0], -1)
    found = Surrogate.fit(problem, met, None)
    for tokens in (5, 10):
        ids, part = other.ids[..., :tokens], beginning(other_layers, tokens)
        assert correlation(found.value(problem, ids, part), truth(ids, part)) > 0.9


def test_the_direction_counts_as_far_as_the_texts_bear_it_out():
    problem = problem_for(chains=2)
    scored, layers = drawn(problem, 64, 0)
    met = met_with(problem, [], scored, layers)
    words = torch.randn(1, problem.policy.vocab_size, generator=torch.Generator().manual_seed(0))
    told = module._told(problem, words, scored.ids)
    met[1] = (torch.stack([met[1][..., 0], 0.5 * told / 4.0], -1)) * torch.tensor([1.0, 1.0])
    labels = [t.label for t in problem.terms]
    assert labels == ["reference", "warmth"]
    found = Surrogate.fit(problem, met, words)
    slope = float((found.words / words).mean())
    assert 0.5 < slope < 0.56  # half of what the words say, and 4 of 68 texts' weight on 1
    assert float(found.weights.abs().max()) < 0.2 * float(told.std())


def test_texts_without_an_energy_and_what_follows_the_end_count_for_nothing():
    problem = problem_for(chains=2)
    scored, layers = drawn(problem, 16, 0)
    met = met_with(problem, [], scored, layers)
    plain = Surrogate.fit(problem, met, None)
    more = [torch.cat([x, x[:, :1]], 1) for x in met]
    more[1][:, -1] = torch.inf
    torch.testing.assert_close(Surrogate.fit(problem, more, None).weights, plain.weights, atol=1e-3, rtol=0.1)
    ids = scored.ids.clone()
    ids[..., 4] = EOS
    after = ids.clone()
    after[..., 5:] = 40
    values = [plain.value(problem, x, layers) for x in (ids, after)]
    torch.testing.assert_close(*values)


def test_without_a_cache_the_words_alone_tell():
    problem = problem_for(chains=2)
    scored, _ = drawn(problem, 8, 0)
    met = met_with(problem, [], scored, [])
    assert met[2].shape[-1] == 1
    words = torch.ones(1, problem.policy.vocab_size)
    found = Surrogate.fit(problem, met, words)
    assert bool(found.value(problem, scored.ids[..., :6], []).isfinite().all())


def test_the_latest_texts_are_remembered_and_weights_are_those_of_now(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 5)
    problem = problem_for(chains=2)
    scored, layers = drawn(problem, 4, 0)
    met = met_with(problem, met_with(problem, [], scored, layers), scored, layers)
    assert [x.shape[1] for x in met] == [5, 5, 5]
    assert torch.equal(met[0][:, 1:], scored.ids)
    expected = 4.0 * scored.energies.terms["warmth"]
    torch.testing.assert_close(rewards_energy(problem, scored.energies.values()), expected)
