"""Decoding with the LM in the loop: the parallel form against the loop it stands for."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.ledger import Ledger
from sea_toolkit.problem.problem import Problem
from sea_toolkit.samplers.shared.guided_decoding import WINDOW, decode_guided
from sea_toolkit.testing.tiny import EOS
from tests.helpers import PROMPTS, problem_for, random_ids

T = 24
TOP = 10


def problem() -> Problem:
    return problem_for(prompts=PROMPTS, chains=4, max_new_tokens=T)


def one_by_one(work: Problem, z: torch.Tensor, names: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """Token by token, the whole text run again each time; ids and log π of the candidates."""
    p, c, length = z.shape[:3]
    ids, view = torch.full((p, c, length), EOS), torch.zeros_like(z)
    over = torch.zeros(p, c, dtype=torch.bool)
    for t in range(length):
        hidden = work.policy.predictors(work.prefix, work.policy.backbone.embedding(ids[:, :, : t + 1]))[:, :, t]
        lm = work.policy.logits(hidden).log_softmax(-1)
        allowed = torch.zeros_like(lm, dtype=torch.bool).scatter(-1, lm.topk(TOP).indices, True)
        there = allowed if names is None else allowed.gather(-1, names[:, :, t])
        pick = z[:, :, t].masked_fill(~there, -torch.inf).argmax(-1, keepdim=True)
        token = pick if names is None else names[:, :, t].gather(-1, pick)
        token = torch.where(there.any(-1, keepdim=True), token, lm.argmax(-1, keepdim=True)).squeeze(-1)
        ids[:, :, t] = token.masked_fill(over, EOS)
        values = lm if names is None else lm.gather(-1, names[:, :, t])
        view[:, :, t] = values.masked_fill(over[..., None], 0.0)
        over |= ids[:, :, t] == EOS
    return ids, view


def latent(k: int | None, seed: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    g = torch.Generator().manual_seed(seed)
    z = torch.randn(3, 4, T, k or 128, generator=g)
    z[:, 2:, 3:, EOS if k is None else 0] = 50.0  # these rows end where the LM allows it
    if k is None:
        return z, None
    names = torch.rand(3, 4, T, 128, generator=g).argsort(-1)[..., :k]
    names[..., 0] = torch.where((names == EOS).any(-1), names[..., 0], EOS)
    return z, names


@pytest.mark.parametrize("k", [None, 20])
@pytest.mark.parametrize("guess", ["random", "right", "right but for one token"])
def test_it_is_the_token_by_token_loop(k: int | None, guess: str) -> None:
    work = problem()
    z, names = latent(k, seed=1)
    ids, view = one_by_one(work, z, names)
    assert 0 < int((ids == EOS).any(-1).sum()) < 12
    start = ids.clone() if guess != "random" else random_ids(3, 4, T)
    if guess == "right but for one token":
        start[2, 1, 2] = 7 if ids[2, 1, 2] != 7 else 8
    found = decode_guided(work, z, names, start, TOP)
    assert torch.equal(found.ids, ids)
    torch.testing.assert_close(found.candidate_log_prob, view, atol=2e-4, rtol=1e-4)
    over = (ids == EOS).long().cumsum(-1) - (ids == EOS).long() > 0
    expected = work.policy.log_prob(work.prefix, ids).masked_fill(over, 0.0)
    torch.testing.assert_close(found.log_prob, expected, atol=2e-4, rtol=1e-4)


def test_a_right_guess_costs_one_pass_and_one_wrong_row_little_more() -> None:
    work = problem()
    z, names = latent(20, seed=2)
    ids, _ = one_by_one(work, z, names)
    work.run.ledger = Ledger()
    decode_guided(work, z, names, ids, TOP)
    assert work.ledger.decode_steps == 1
    assert work.ledger.models["policy"].forward == 12 * (T - 1) + 12 * T
    start = ids.clone()
    start[0, 0, 3] = 7 if ids[0, 0, 3] != 7 else 8
    work.run.ledger = Ledger()
    decode_guided(work, z, names, start, TOP)
    # what follows the wrong token is looked at again in one row of twelve, a window at a time
    assert work.ledger.models["policy"].forward <= 12 * (T - 1) + 12 * T + 2 * WINDOW * T


def test_one_position() -> None:
    work = problem()
    z, names = latent(20, seed=3)
    found = decode_guided(work, z[:, :, :1], names[:, :, :1], random_ids(3, 4, 1), TOP)
    assert torch.equal(found.ids, one_by_one(work, z[:, :, :1], names[:, :, :1])[0])
