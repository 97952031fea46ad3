"""Models with other position factors beyond a length: a prompt is read as it is alone, whatever stands beside it."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing.tiny import tiny_model, tiny_tokenizer

SWITCH = 24
CLOSE = {"rtol": 1e-4, "atol": 2e-4}


@pytest.fixture(scope="module")
def phi() -> Policy:
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4}
    rope = {"rope_type": "longrope", "rope_theta": 10000.0, **factors}
    sizes = {"max_position_embeddings": 96, "original_max_position_embeddings": SWITCH}
    model = tiny_model("phi3", rope_parameters=rope, **sizes)
    policy = Policy(model, tiny_tokenizer(), name="phi")
    ids = torch.tensor([prompt(SWITCH + 1)])
    gap = (model(input_ids=ids).logits[:, :-1] - model(input_ids=ids[:, :-1]).logits).abs().max()
    assert gap > 0.1, "the factors should matter"
    return policy


def prompt(length: int) -> list[int]:
    return [4 + (i * 7) % 100 for i in range(length)]


def own(policy: Policy, ids: list[int]) -> torch.Tensor:
    """log π of the model's own forward pass on one text, `[n − 1]`."""
    with torch.no_grad():
        logits = policy.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].log_softmax(-1)
    return logits[:-1].gather(-1, torch.tensor(ids[1:])[:, None]).squeeze(-1)


@pytest.mark.parametrize("lengths", [(8, 40), (30, 40), (5, 18)])
def test_log_prob_is_that_of_each_text_alone(phi, lengths):
    rows, answer = [prompt(n) for n in lengths], prompt(6)
    together = phi.log_prob(phi.prefix(rows), torch.tensor(answer).expand(2, 1, -1))
    for p, row in enumerate(rows):
        torch.testing.assert_close(together[p, 0], own(phi, [*row, *answer])[len(row) - 1 :], **CLOSE)


@pytest.mark.parametrize("lengths", [(8, 40), (16, 8)])
def test_greedy_decoding_takes_the_factors_of_the_text_so_far(phi, lengths):
    rows = [prompt(n) for n in lengths]
    drawn = decode(phi, phi.prefix(rows), None, length=8, chains=1)
    for p, row in enumerate(rows):
        ids = list(row)
        for token in drawn.ids[p, 0].tolist():
            with torch.no_grad():
                assert token == int(phi.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax())
            ids.append(token)
            if token in phi.eos_ids:
                break


def test_prompts_on_one_side_share_their_keys(phi):
    assert isinstance(phi.prefix([prompt(8), prompt(12)]).layers, list)
    assert isinstance(phi.prefix([prompt(40), prompt(30)]).layers, list)


@pytest.mark.parametrize("rows", [[prompt(12)], [prompt(12), prompt(40)]])
def test_an_answer_that_reaches_the_other_side_is_refused(phi, rows):
    prefix, answer = phi.prefix(rows), torch.tensor(prompt(20)).expand(len(rows), 1, -1)
    for grow in (
        lambda: phi.log_prob(prefix, answer),
        lambda: decode(phi, prefix, None, length=20, start=answer[..., :8]),
    ):
        with pytest.raises(
            ModelError, match="phi changes its position factors at 24 tokens, and an answer reaches that"
        ):
            grow()
