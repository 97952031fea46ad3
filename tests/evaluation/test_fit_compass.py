"""Compasses made on the policy's own answers: by gradients, and by single words."""

from __future__ import annotations

import pytest
import torch

import sea_toolkit as sea
from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.evaluation.gradient_sums import GradientSums
from sea_toolkit.evaluation.word_compass import TEXTS, TRIED, calls_for_words
from sea_toolkit.problem.compass_file import compass_of
from sea_toolkit.samplers.shared.tilt import token_gradients
from sea_toolkit.testing.setting import PROMPTS
from sea_toolkit.testing.tiny import tiny_policy, tiny_tokenizer
from tests.helpers import hub, noise_for, problem_for, warmth

VOWELS = frozenset("aeiou")


def vowels(text: str) -> float:
    """A reward of texts alone: the share of letters that are vowels."""
    letters = [c for c in text.lower() if c.isalpha()]
    return 4.0 * sum(c in VOWELS for c in letters) / len(letters) if letters else 0.0


def fitted(**settings):
    given = {"policy": tiny_policy(), "hub": hub(), "max_new_tokens": 8, "samples": 3}
    return sea.fit_compass(PROMPTS[:3], **(given | settings))


def test_the_mean_and_the_variance_are_those_of_the_gradients_of_all_answers():
    made, settings = fitted(energies={"warmth": warmth}), {"sampler": "best-of-n", "chains": 3, "max_new_tokens": 8}
    problem = problem_for({"warmth": (1.0, warmth)}, prompts=PROMPTS[:3], **settings)
    start = problem.start(noise_for(problem))
    met = token_gradients(problem, problem.score_as_text(start.ids, start.log_prob, gradients=True)).flatten(0, 2)
    assert made.info.count == len(met) == 9
    torch.testing.assert_close(made.compass.mean, met.mean(0), rtol=2e-2, atol=1e-5)
    torch.testing.assert_close(made.compass.variance, met.var(0, correction=0), rtol=2e-2, atol=1e-5)
    again = fitted(energies={"warmth": warmth})
    assert torch.equal(made.compass.mean, again.compass.mean)
    assert not torch.equal(made.compass.mean, fitted(energies={"warmth": warmth}, seed=1).compass.mean)


def test_a_gradient_through_the_policys_embedding_is_kept_by_its_width():
    """The factored file says what sums over the vocabulary say."""
    policy = tiny_policy()
    read = torch.randn(policy.table.shape[1], generator=torch.Generator().manual_seed(0))

    def by_table(response: SoftResponse) -> torch.Tensor:
        states = (response.embed(policy.table) @ read).tanh()
        return (states * response.content).sum(-1) / response.content.sum(-1).clamp(min=1)

    problem = problem_for({"by_table": (1.0, by_table)}, chains=30)
    sums, seen = GradientSums(problem.policy), []
    ids = torch.randint(4, 128, (1, 30, 6), generator=torch.Generator().manual_seed(1))
    scored = problem.score_as_text(ids, gradients=True)
    sums.add(scored.token_gradients[0], scored.length)
    seen = token_gradients(problem, scored)[0, :, 0]
    tensors = sums.tensors()
    compass = compass_of(tensors, sums.count, problem.policy.table)
    assert set(tensors) == {"mean", "factor", "tokens", "token_mean", "token_variance"}
    torch.testing.assert_close(compass.mean, seen.mean(0), rtol=1e-3, atol=1e-6)
    own = seen.var(0, correction=0)
    assert float(torch.corrcoef(torch.stack([compass.variance, own]))[0, 1]) > 0.9
    named = tensors["tokens"]
    torch.testing.assert_close(compass.variance[named], own[named], rtol=1e-3, atol=1e-6)


def test_single_words_tell_what_a_reward_of_texts_likes():
    made = fitted(reward={"vowels": (8.0, vowels)}, words=10_000)
    texts = [tiny_tokenizer().decode([i]) for i in range(128)]
    likes = [i for i in range(128) if made.compass.mean[i] < 0]
    assert made.agreement > 0.5
    assert made.info.source == "words"
    assert sum(vowels(texts[i]) for i in likes) / len(likes) > 2.0
    assert all(vowels(word) > 0 for word in made.favored)


def test_a_reward_that_words_do_not_move_has_no_compass():
    with pytest.raises(RecipeError, match="same of all words"):
        fitted(reward={"flat": lambda text: 1.0}, words=200)


def test_the_number_of_texts_that_are_asked_about_is_bounded():
    asked = []

    def counted(prompts: list[str], texts: list[str]) -> list[float]:
        asked.extend(texts)
        return [vowels(text) for text in texts]

    fitted(reward={"counted": counted}, words=70)
    assert 70 < len(asked) <= calls_for_words(70, 3) == 70 + 3 * (TRIED + 1) < calls_for_words(70, 1000)
    assert calls_for_words(70, 1000) == 70 + TEXTS * (TRIED + 1)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reward": {"vowels": vowels}}, "no gradient"),
        ({"reward": {"vowels": vowels}, "energies": {"warmth": warmth}}, "vowels, warmth"),
        ({"reward": {"vowels": vowels}, "words": 3}, "words = 3"),
        ({"reward": {"vowels": vowels}, "samples": 0}, "samples = 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(settings, said):
    with pytest.raises(RecipeError, match=said):
        fitted(**settings)


def test_tilted_takes_a_reward_without_a_gradient_if_it_has_a_compass(tmp_path):
    with pytest.raises(RecipeError, match="fit-compass --words"):
        problem_for({"vowels": (8.0, vowels)}, sampler="tilted")
    fitted(reward={"vowels": (8.0, vowels)}, words=10_000).save(tmp_path / "vowels.safetensors")
    table = {"weight": 8.0, "compass": str(tmp_path / "vowels.safetensors")}
    answers = {}
    for name, weight in (("with", table), ("without", 8.0)):
        answers[name] = sea.align(
            PROMPTS[:3], reward={"vowels": (weight, vowels)}, sampler="tilted" if name == "with" else "suffix-mh",
            policy=tiny_policy(), hub=hub(), max_new_tokens=6, budget=16,
        )  # fmt: skip
    reached = {name: sum(r.rewards["vowels"][1] for r in results) for name, results in answers.items()}
    assert reached["with"] > reached["without"]
