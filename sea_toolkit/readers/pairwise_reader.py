"""A reward model that compares answers (PairRM): how much better an answer is than the one that it is compared with."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.decoding import decode
from sea_toolkit.lm.positions import usable_positions
from sea_toolkit.models.heads import PairwiseModel
from sea_toolkit.problem.context import Context
from sea_toolkit.readers.placed_text import Ids

LONGEST = 1224 + 2 * 412
"""Tokens of a prompt and two answers (allenai/reward-bench, models/pairrm.py: `tokenize_pair`)."""


class PairwiseReader:
    """z(x; y, y′) − z(x; y′, y), with z the model's logit and y′ the answer that y is compared with.

    Prompt and answers are three texts, each with its mark and the tokenizer's special tokens, one after the other.

    Args:
        model: compares two answers.
        tokenizer: its own.
        name: its name, for messages.
        others: for each prompt, the answer that its answers are compared with.

    Raises:
        RecipeError: a prompt and its answer are too long for the model.

    Attributes:
        ids_only: why it gives no gradient.
    """

    ids_only = "it compares two texts"

    def __init__(self, model: PairwiseModel, tokenizer: object, name: str, others: Mapping[str, str]) -> None:
        self.model, self.tokenizer, self.name, self.others = model, tokenizer, name, dict(others)
        self.limit = min(LONGEST, usable_positions(model.model) or LONGEST)
        for prompt, other in self.others.items():
            around = sum(map(len, self._parts(prompt, "", other)))
            if around >= self.limit:
                raise RecipeError(
                    f"a prompt and the answer that others are compared with have {around} tokens",
                    expected=f"room for another answer: at most {self.limit} together ({name})",
                )

    @torch.no_grad()
    def texts(self, prompts: Sequence[str], answers: Sequence[str]) -> Float[Tensor, "N 1"]:
        """How much better each of N answers is; NaN for one that is too long for the model."""
        return torch.stack([self._one(p, a) for p, a in zip(prompts, answers, strict=True)])

    def _one(self, prompt: str, answer: str) -> Float[Tensor, " 1"]:
        other = self.others[prompt]
        pairs = ((answer, other), (other, answer))
        rows = [list(itertools.chain(*self._parts(prompt, *pair))) for pair in pairs]
        device = self.model.get_input_embeddings().weight.device
        if len(rows[0]) > self.limit:
            return torch.full((1,), torch.nan, device=device)
        ids = torch.tensor(rows, device=device)  # the same tokens in another order: one length
        forth, back = self.model(ids, torch.ones_like(ids)).logits.float()
        difference: Tensor = forth - back
        return difference

    def _parts(self, prompt: str, first: str, second: str) -> list[Ids]:
        """The tokens of the prompt and of two answers."""
        texts = zip(self.model.marks, (prompt, first, second), strict=True)
        return [self.tokenizer(mark + text).input_ids for mark, text in texts]  # type: ignore[operator]


def others_for(against: str | Sequence[str] | None, context: Context) -> dict[str, str]:
    """For each prompt of a run, the answer that its answers are compared with.

    Args:
        against: one for all prompts, or one for each; None: the policy's most probable answer, word by word.
        context: of the run.

    Raises:
        RecipeError: not as many as prompts.
    """
    prompts = list(context.prompts)
    if against is None:
        greedy = decode(context.policy, context.prefix, None, length=context.length)
        return {prompt: row[0] for prompt, row in zip(prompts, context.policy.text(greedy.ids), strict=True)}
    texts = [against] * len(prompts) if isinstance(against, str) else list(against)
    if len(texts) != len(prompts):
        raise RecipeError(f"against has {len(texts)} texts for {len(prompts)} prompts", expected="one for each prompt")
    return dict(zip(prompts, texts, strict=True))
