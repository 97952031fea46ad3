"""The energy `perplexity`: what a language model thinks of the answer as a text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.cross_entropy import expected_cost
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.positions import cut_answers, fitting_answers
from sea_toolkit.models.loading import find_language_model
from sea_toolkit.problem.terms import Context
from sea_toolkit.readers.language_model import (
    language_model,
    linear_head,
    places,
    rows_for,
    same_tokens,
    text_ids,
    text_only,
)
from sea_toolkit.util.progress import Progress, silent

if TYPE_CHECKING:
    from sea_toolkit.registry.hub import PluginHub


class Perplexity:
    """−log p(y) of the answer's tokens under a language model, in nats; the end of text is not counted, as two models
    may not have the same one. The perplexity in the usual sense is the exponential of the mean.

    It has a gradient where the model shares the policy's vocabulary and its logits are linear in the last hidden state;
    elsewhere it scores texts, in its own tokens, and the result says so.

    Args:
        model: a catalog name, a local folder or a Hugging Face id of a causal LM; the policy itself if left out.
        normalize: "mean" per token, or "sum" over the tokens.
        conditioned: whether the model reads the prompt before the answer (in its own chat template, if it has one); if
            not, the answer stands at the start of a text.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        normalize: Literal["mean", "sum"] = "mean",
        conditioned: bool = True,
    ) -> None:
        self.model, self.normalize, self.conditioned = model, normalize, conditioned

    def check(
        self, hub: PluginHub, tokenizer: Any, progress: Progress = silent, trust_remote_code: bool = False
    ) -> Path | str | None:
        """Find the model before any weights are read.

        Raises:
            ModelError: there is none of that name, or it is no language model.
        """
        return None if self.model is None else find_language_model(self.model, hub, progress)

    def bind(self, context: Context) -> TextPerplexity:
        """Load the model, and run the prompts once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a prompt is too long for the model.
        """
        lm = language_model(self.model, context)
        if not same_tokens(lm, context.policy):
            return TextPerplexity(self, lm, context, "has another tokenizer than the policy")
        head = linear_head(lm)
        if head is None:
            return TextPerplexity(self, lm, context, "caps, scales or shifts its logits")
        return SoftPerplexity(self, lm, context, head)


class TextPerplexity:
    """The energy of a run, on texts."""

    def __init__(self, settings: Perplexity, lm: Policy, context: Context, reason: str = "") -> None:
        self.settings, self.scorer, self.context = settings, lm, context
        self.warnings = [text_only("perplexity", lm.name, reason)] if reason else []
        self.reader = lm if reason else context.policy
        self.prefix = self._prefix()

    @property
    def flops_per_token(self) -> float:
        """Forward."""
        return 2.0 * (self.scorer.body_parameters + self.scorer.head_parameters)

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The energy of texts as answers to the run's prompts; NaN for a text too long for the model."""
        ids, there = text_ids(self.reader, texts)
        prefix = self.prefix.select(places(self.context.prompts, prompts, ids.device))
        (ids,), there, cut = cut_answers([ids], there, prefix.ids.shape[1], self.scorer.context_length)
        log_prob = self.scorer.log_prob(prefix, ids)
        self._count(*ids.shape, backward=False)
        total = torch.where(there, -log_prob, 0.0).sum(-1)
        return self._normalized(total, there.float()).masked_fill(cut, torch.nan).squeeze(1)

    def _prefix(self) -> Prefix:
        """What stands before the answer, one row for each prompt."""
        lm, context = self.scorer, self.context
        if not self.settings.conditioned:
            tokenizer = lm.tokenizer
            first = tokenizer("").input_ids
            if not first:
                first = [lm.eos_ids[0] if tokenizer.bos_token_id is None else tokenizer.bos_token_id]
            fitting_answers(context.length, len(first), lm.context_length, lm.name)
            rows = [first]
        elif lm is context.policy:
            return context.prefix
        else:
            rows = lm.encode(context.prompts, context.length)
        context.ledger.forward(f"perplexity:{lm.name}", sum(map(len, rows)), lm.body_parameters)
        prefix = lm.prefix(rows)
        if self.settings.conditioned:
            return prefix
        return prefix.select(torch.zeros(len(context.prompts), dtype=torch.long, device=lm.device))

    def _count(self, p: int, c: int, t: int, *, backward: bool) -> None:
        lm, ledger, name = self.scorer, self.context.ledger, f"perplexity:{self.scorer.name}"
        ledger.forward(name, p * c * (t - 1), lm.body_parameters, backward=backward)
        ledger.forward(name, p * c * t, lm.head_parameters, backward=backward)

    def _normalized(self, total: Float[Tensor, "P C"], content: Float[Tensor, "P C T"]) -> Float[Tensor, "P C"]:
        return total / content.sum(-1).clamp(min=1.0) if self.settings.normalize == "mean" else total


class SoftPerplexity(TextPerplexity):
    """The energy of a run, on responses in the policy's tokens.

    Position t of a relaxed response costs `Σ_v p_t(v) · (−log p(v | x, soft y_<t))` over the tokens v that end no text,
    weighted with its survival. With logits W · h that is read through `embed(W)`, so that the tilted samplers see it:
    `Σ_v p(v) · logit(v) = h · embed(W)`.
    """

    def __init__(self, settings: Perplexity, lm: Policy, context: Context, head: Float[Tensor, "rows D"]) -> None:
        super().__init__(settings, lm, context)
        self.table = rows_for(lm.table, context.policy)
        self.head = self.table if head is lm.table else rows_for(head, context.policy)

    def __call__(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        lm, embeds = self.scorer, response.embed(self.table)
        self._count(*response.shape, backward=embeds.requires_grad)
        hidden = lm.predictors(self.prefix, embeds)
        ends = response.probability(response.eos_ids).float()
        first = torch.zeros_like(ends)
        first[..., 0] = 1.0
        # the cost of the first end-of-text token for all that do not end the text, and then how far they are from it
        eos = torch.tensor(response.eos_ids, device=ends.device)
        rows = (hidden.flatten(0, 2), (first - ends).flatten(0, 2), eos.expand(ends.shape).flatten(0, 2))
        cost = expected_cost(*rows, lm.logits).unflatten(0, response.shape)
        off = self.head[eos[0]].float() - response.embed(self.head).float()
        cost = cost + (hidden.float() * off).sum(-1)
        total = torch.where(response.alive > 0, cost * response.alive, 0.0).sum(-1)
        return self._normalized(total, response.content)
