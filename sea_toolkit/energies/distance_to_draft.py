"""The energy `distance-to-draft`: change a text as little as possible."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import Energy, ResponseFunction


class DistanceToDraft(Energy):
    """Edit distance to a draft, in tokens: insertions, deletions and replacements (Levenshtein 1966).

    For a relaxed response, putting token d of the draft in line with position t costs `1 − p_t(d)`, and the distance of
    the first L positions is that of the cheapest alignment; the energy is its mean over where the text ends. At one-hot
    weights that is the edit distance itself, since the cheapest alignment is taken by `min`, not by a smooth one.

    Args:
        text: the draft, or a list with one for each prompt.
    """

    differentiable = True

    def __init__(self, *, text: str | list[str]) -> None:
        self.text = text

    def bind(self, context: Context) -> ResponseFunction:
        """Tokenize the drafts.

        Raises:
            RecipeError: a draft is empty, or the number of drafts is not the number of prompts.
        """
        drafts = [self.text] * len(context.prompts) if isinstance(self.text, str) else self.text
        if len(drafts) != len(context.prompts):
            raise RecipeError(
                f"distance-to-draft has {len(drafts)} drafts for {len(context.prompts)} prompts",
                expected="one draft, or one per prompt",
            )
        if not all(draft.strip() for draft in drafts):
            raise RecipeError("a draft of distance-to-draft is empty", expected="a text")
        unfinished = torch.zeros(len(drafts), 1, dtype=torch.bool)
        tokenized = context.policy.from_text([[context.policy.as_answer(draft)] for draft in drafts], unfinished)
        return DraftDistance(tokenized.ids[:, 0], tokenized.alive[:, 0].sum(-1).long()).energy


class DraftDistance:
    """The edit distance to the drafts of a run.

    Args:
        ids: tokens of the drafts `[P, J]`, padded on the right.
        lengths: how many of them count, `[P]`.
    """

    def __init__(self, ids: Int[Tensor, "P J"], lengths: Int[Tensor, " P"]) -> None:
        tokens, self.which = ids.unique(return_inverse=True)
        self.tokens, self.lengths = tokens.tolist(), lengths

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        p, c, t = response.shape
        which = self.which[:, None, None].expand(-1, c, t, -1)
        unlike = 1.0 - response.probability(self.tokens).gather(-1, which).float()
        mask = response.content.float()
        end = self.lengths[:, None, None].expand(-1, c, 1)
        places = torch.arange(unlike.shape[-1] + 1, device=unlike.device, dtype=unlike.dtype)
        row = places.expand(p, c, -1)  # distances of the first i positions to the first j tokens of the draft
        before = total = row.gather(-1, end).squeeze(-1)
        for i in range(t):
            replaced = torch.minimum(row[..., 1:] + 1.0, row[..., :-1] + unlike[:, :, i])
            best = torch.cat([row[..., :1] + 1.0, replaced], -1)
            # tokens of the draft that are left out: the least of best[k] + (j − k) over k ≤ j
            row = (best - places).cummin(-1).values + places
            now = row.gather(-1, end).squeeze(-1)
            total = total + mask[:, :, i] * (now - before)
            before = now
        return total
