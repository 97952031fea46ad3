"""What the toolkit makes of a model type: it works, works slower, or is refused by name; anything else is a fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sea_toolkit.errors import ModelError
from sea_toolkit.lm.architecture import accepted
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.policy import Policy
from sea_toolkit.testing.tiny import EOS, tiny_tokenizer

PROMPTS = ([40, 41, 42], [50, 51, 52, 53, 54], [60, 61, 62, 63])
LENGTH = 6


WORKS = "works"
SLOWER = "works, slower: the prompt is read again with every answer"
SLOWEST = "works, slowest: prompt and answer are read again with every token"
LOOKS_AHEAD = "refused: a token changes what the model says about earlier ones"
NEEDS_MORE = "refused: needs more than text, or embeddings do not say all"
NOT_BUILT = "not tried: transformers builds no small one"
OUTCOMES = (WORKS, SLOWER, SLOWEST, LOOKS_AHEAD, NEEDS_MORE, NOT_BUILT)


@dataclass(frozen=True)
class Verdict:
    """How a model type goes: one of `OUTCOMES`, and the words that the toolkit has for it."""

    outcome: str
    reason: str = ""


def answers() -> Tensor:
    """`[3, 2, 6]` tokens without an end of text."""
    return torch.randint(4, 128, (3, 2, LENGTH), generator=torch.Generator().manual_seed(1))


def try_policy(model: Any) -> Verdict:
    """Compare every way in which the toolkit runs a causal LM with the model's own plain forward pass.

    Raises:
        AssertionError: a number differs.
    """
    try:
        policy = Policy(model, tiny_tokenizer(), name="tiny")
    except ModelError as error:
        return Verdict(LOOKS_AHEAD if "looks ahead" in error.got else NEEDS_MORE, error.got)
    prefix, ids = policy.prefix(PROMPTS), answers()
    policy_logits = policy.logits(policy.predictors(prefix, policy.backbone.embedding(ids)))
    mixed = torch.nn.functional.one_hot(ids, policy.vocab_size).float() @ policy.table
    one_hot = policy.logits(policy.predictors(prefix, mixed))
    log_prob = policy.log_prob(prefix, ids)
    greedy = decode(policy, prefix, None, length=LENGTH, chains=1)
    for p, prompt in enumerate(PROMPTS):
        for c in range(2):
            right = plain(policy, [*prompt, *ids[p, c].tolist()])[len(prompt) - 1 : -1]
            _same(policy_logits[p, c], right, "a batch behind a prefix")
            _same(one_hot[p, c], right, "one-hot rows")
            own = right.log_softmax(-1).gather(-1, ids[p, c, :, None]).squeeze(-1)
            _same(log_prob[p, c], own, "log π")
        _is_greedy(policy, prompt, greedy.ids[p, 0].tolist(), greedy.log_prob[p, 0])
    if policy.backbone.shares_prefix:
        return Verdict(WORKS)
    return Verdict(SLOWEST if "every token" in policy.notes[-1] else SLOWER, policy.notes[-1])


def plain(policy: Policy, ids: list[int]) -> Tensor:
    """The model's own logits on one text."""
    with torch.no_grad():
        return policy.forbid(
            policy.model(input_ids=torch.tensor([ids]), **accepted(policy.model, use_cache=False)).logits[0].float()
        )


def _is_greedy(policy: Policy, prompt: list[int], written: list[int], log_prob: Tensor) -> None:
    """Each token has the largest logit of the model's own, and its log π is right."""
    text = [*prompt, *written]
    right = plain(policy, text)[len(prompt) - 1 : -1]
    count = written.index(EOS) + 1 if EOS in written else len(written)
    best = right.amax(-1)
    taken = right.gather(-1, torch.tensor(written)[:, None]).squeeze(-1)
    assert float((best - taken)[:count].max()) < 1e-3, "greedy decoding takes another token than the model"
    own = (taken - right.logsumexp(-1))[:count]
    _same(log_prob[:count], own, "log π while decoding")


def _same(tried: Tensor, right: Tensor, what: str) -> None:
    gap = float((tried.nan_to_num(0.0, 0.0, 0.0) - right.nan_to_num(0.0, 0.0, 0.0)).abs().max())
    scale = float(right.nan_to_num(0.0, 0.0, 0.0).abs().max())
    assert gap <= 1e-3 * max(scale, 1.0), f"{what}: logits differ by {gap:.2g}"
    assert bool((tried.isneginf() == right.isneginf()).all()), f"{what}: another set of tokens can be written"
