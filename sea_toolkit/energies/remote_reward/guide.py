"""A gradient for the reward of a server: what the server says of each of the policy's words alone."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.remote_reward.server import RewardServer
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.text_cache import TextCache
from sea_toolkit.readers.piece_alignment import is_text, texts_of
from sea_toolkit.readers.word_prior import NEUTRAL, WordPrior
from sea_toolkit.util.progress import Progress

_WORDS = 2048
"""Words between two reports of progress."""


class WordGuided:
    """The reward `[P, C]` of responses: the server's value of the text, and the scores of single words for a gradient.

    Each pair of prompt and text is asked about once.

    Args:
        server: scores texts.
        prior: the scores of words.
        context: of the run.
    """

    def __init__(self, server: RewardServer, prior: WordPrior, context: Context) -> None:
        self.server, self.prior, self.policy, self.prompts = server, prior, context.policy, context.prompts
        self.cache = TextCache(context.ledger)

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Rewards, float32; those of relaxed responses are of the most probable tokens, and of first order around."""
        p, c = response.shape[:2]
        prompts = [prompt for prompt in self.prompts for _ in range(c)]
        values = self.cache.ask(prompts, texts_of(response, self.policy), self.server.scores)
        values = values.to(response.ids.device).reshape(p, c)
        if is_text(response):
            return values
        return self.prior.guide(values[..., None], response, response.content > 0.5)[..., 0]


def word_prior(server: RewardServer, policy: Policy, progress: Progress) -> WordPrior:
    """What a server says of each word of the policy, as a whole answer to a neutral prompt.

    Tokens that are no text by themselves, and words that the server gives no number, get the mean.

    Args:
        server: scores texts.
        policy: whose tokens they are.
        progress: counts words.
    """
    words = [policy.decode([token]).strip() for token in range(policy.vocab_size)]
    distinct = sorted({word for word in words if word and "\ufffd" not in word})
    found: list[float] = []
    for start in range(0, len(distinct), _WORDS):
        some = distinct[start : start + _WORDS]
        found += server.scores([NEUTRAL] * len(some), some).tolist()
        progress(len(found), len(distinct), f"{server.client.url}: scoring single words (once)")
    place = dict(zip(distinct, found, strict=True))
    scores = torch.tensor([place.get(word, torch.nan) for word in words])
    scores = (scores - scores.nanmean()).nan_to_num(0.0)[:, None].to(policy.device)
    return WordPrior(scores, scores.new_zeros(1), scores.new_ones(1))
