"""The energy `perplexity`: what a language model thinks of the answer as a text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.lm.cross_entropy import expected_cost
from sea_toolkit.lm.kv_cache import Prefix
from sea_toolkit.lm.policy import Policy
from sea_toolkit.lm.positions import cut_answers, fitting_answers
from sea_toolkit.lm.tokens import TextCodec, opened, start_of_text
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.policy_source import find_language_model
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.language_model import (
    language_model,
    language_model_outlook,
    linear_head,
    prompt_indices,
    rows_for,
    same_tokens,
    text_ids,
    text_only,
)


class Perplexity(Energy):
    """−log p(y) of the answer's tokens under a language model, in nats, without the end-of-text token, which may differ
    between two models. The perplexity in the usual sense is the exponential of the mean.

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

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the model before any weights are read.

        Raises:
            ModelError: the name is unknown, or not that of a language model.
        """
        if self.model is not None:
            find_language_model(self.model, finder)

    def outlook(self, foresight: Foresight) -> Outlook:
        """A language model, whose gradient needs the policy's tokens and a head without soft caps."""
        road, model = language_model_outlook(self.model, foresight, "perplexity")
        capped = model.skeleton.config.get_text_config().to_dict().get("final_logit_softcapping")
        return Outlook("none" if capped or road == "bridge" else road, [model], is_reward=False)

    def bind(self, context: Context) -> BoundEnergy:
        """Load the model, and run the prompts once.

        Raises:
            ModelError: as `check`, or unreadable weights.
            RecipeError: a prompt is too long for the model.
        """
        lm = language_model(self.model, context)
        context.use_model(f"perplexity:{lm.name}", lm.model)
        if not same_tokens(lm, context.policy):
            return self._of_texts(lm, context, "has another tokenizer than the policy")
        head = linear_head(lm)
        if head is None:
            return self._of_texts(lm, context, "caps, scales or shifts its logits")
        cost = SoftTextCost(self, lm, context, head)
        return BoundEnergy(energy=cost.energy, score_text=cost.score_text)

    def _of_texts(self, lm: Policy, context: Context, reason: str) -> BoundEnergy:
        note = text_only("perplexity", lm.name, reason)
        codec = lm.answers if self.conditioned else start_of_text(lm.tokenizer)
        return BoundEnergy(score_text=TextCost(self, lm, context, codec).score_text, warnings=[note])


class TextCost:
    """−log p of the texts of a run.

    Args:
        settings: how it is normalized, and whether the prompt is read.
        lm: the language model.
        context: of the run.
        codec: makes token ids of the texts.
    """

    def __init__(self, settings: Perplexity, lm: Policy, context: Context, codec: TextCodec) -> None:
        self.settings, self.lm, self.context, self.codec = settings, lm, context, codec
        self.prefix = self._prefix()

    def score_text(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """The energy of texts as answers to the run's prompts; NaN for a text too long for the model."""
        ids, mask = text_ids(self.codec, texts, self.lm.device)
        prefix = self.prefix.select(prompt_indices(self.context.prompts, prompts, ids.device))
        (ids,), mask, cut = cut_answers([ids], mask, prefix.mask.shape[1], self.lm.context_length)
        total = torch.where(mask, -self.lm.log_prob(prefix, ids, mask), 0.0).sum(-1)
        return self._normalized(total, mask.float()).masked_fill(cut, torch.nan).squeeze(1)

    def _prefix(self) -> Prefix:
        """What stands before the answer, one row for each prompt."""
        lm, context = self.lm, self.context
        if not self.settings.conditioned:
            start = lm.tokenizer.bos_token_id
            rows = [opened(lm.tokenizer, "") or [lm.usual_end if start is None else start]]
            fitting_answers(context.length, len(rows[0]), lm.context_length, lm.name)
        elif lm is context.policy:
            return context.prefix
        else:
            rows = lm.encode(context.prompts, context.length)
        prefix = lm.prefix(rows)
        if self.settings.conditioned:
            return prefix
        return prefix.select(torch.zeros(len(context.prompts), dtype=torch.long, device=lm.device))

    def _normalized(self, total: Float[Tensor, "P C"], content: Float[Tensor, "P C T"]) -> Float[Tensor, "P C"]:
        return total / content.sum(-1).clamp(min=1.0) if self.settings.normalize == "mean" else total


class SoftTextCost(TextCost):
    """The same of responses in the policy's tokens.

    Position t of a relaxed response costs `Σ_v p_t(v) · (−log p(v | x, soft y_<t))` over the tokens v that end no text,
    weighted with its survival. With logits W · h that is read through `embed(W)`, so that the tilted samplers see it:
    `Σ_v p(v) · logit(v) = h · embed(W)`.
    """

    def __init__(self, settings: Perplexity, lm: Policy, context: Context, head: Float[Tensor, "rows D"]) -> None:
        super().__init__(settings, lm, context, context.policy.answers)
        self.table = rows_for(lm.table, context.policy)
        self.head = self.table if head is lm.table else rows_for(head, context.policy)

    def energy(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Of responses."""
        lm = self.lm
        hidden = lm.predictors(self.prefix, response.embed(self.table), response.alive > 0)
        ends = response.probability(response.eos_ids).float()
        first = torch.zeros_like(ends)
        first[..., 0] = 1.0
        # `expected_cost` needs explicit candidates, so every token that ends no text is charged as the first one that
        # does, and then `h · (W[eos] − embed(W))` is added, the exact difference of their logits
        eos = torch.tensor(response.eos_ids, device=ends.device)
        rows = (hidden.flatten(0, 2), (first - ends).flatten(0, 2), eos.expand(ends.shape).flatten(0, 2))
        cost = expected_cost(*rows, lm.logits).unflatten(0, response.shape)
        off = self.head[eos[0]].float() - response.embed(self.head).float()
        cost = cost + (hidden.float() * off).sum(-1)
        total = torch.where(response.alive > 0, cost * response.alive, 0.0).sum(-1)
        return self._normalized(total, response.content)
