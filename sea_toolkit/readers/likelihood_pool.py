"""Weighted log-likelihoods of language models, −Σ a_i log π_i(y|x): ratios of two models, and pools of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.errors import RecipeError
from sea_toolkit.lm.policy import Policy
from sea_toolkit.problem.combined import Lines
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy
from sea_toolkit.problem.outlook import Foresight, Outlook, merged
from sea_toolkit.readers.answer_likelihood import AnswerLikelihood
from sea_toolkit.readers.conversation_text import CONVERSATION, ConversationText, chat_for
from sea_toolkit.readers.language_model import language_model, language_model_outlook, text_only
from sea_toolkit.readers.policy_likelihood import PolicyLikelihood
from sea_toolkit.util.conversation import Message


@dataclass(frozen=True)
class Member:
    """A language model, how it reads answers, and its weight a_i."""

    likelihood: AnswerLikelihood
    weight: float

    @property
    def lm(self) -> Policy:
        """The model."""
        return self.likelihood.lm


class LikelihoodPool:
    """−Σ a_i log π_i(y|x), in nats. Each model reads the conversation in its own chat template and its own tokens.

    Args:
        energy: whose it is, for messages.
        context: of the run.
        end: whether the token that ends the turn counts too; None: where the answer has ended.
        normalize: "sum" over the tokens, or "mean": each model's log-probability per token of its own.
        template_options: variables of all chat templates.
        truncate: where the text has more tokens than a model can read, leave out the beginning of the prompt.
    """

    def __init__(
        self,
        energy: str,
        context: Context,
        *,
        end: bool | None,
        normalize: Literal["sum", "mean"],
        template_options: Mapping[str, Any],
        truncate: bool,
    ) -> None:
        self.energy, self.context, self.end, self.normalize = energy, context, end, normalize
        self.template_options, self.truncate = template_options, truncate
        self.members: list[Member] = []

    def add(self, name: str | None, weight: float) -> None:
        """Load a model, the policy for None, and run the prompts once.

        Raises:
            ModelError: it cannot be found or read.
            RecipeError: a prompt is too long for it, or it is a member already.
        """
        lm = language_model(name, self.context)
        if any(member.lm is lm for member in self.members):
            raise RecipeError(f"{self.energy} compares {lm.name} with itself", expected="different models")
        shown = self._shown(lm)
        shown.frames(self.context.prompts, self.context.length)
        # its own −log π is known of the texts that a run scores, and costs a pass only where it is differentiated
        known = lm is self.context.policy and self.end is None
        self.context.use_model(f"{self.energy}:{lm.name}", lm.model, flops_per_token=0.0 if known else None)
        kind = PolicyLikelihood if known else AnswerLikelihood
        self.members.append(Member(kind(lm, shown, self.end, self.context), weight))

    def bound(self, *, is_reward: bool) -> BoundEnergy:
        """The energy, with a gradient where all members have one."""
        notes: list[Sequence[str]] = [member.likelihood.warnings for member in self.members]
        capped = next((member.lm for member in self.members if not member.likelihood.differentiable), None)
        if capped is not None:
            notes.append([text_only(self.energy, capped.name, "caps, scales or shifts its logits")])
        tells_ends = self.end is None  # a text alone does not tell whether it has ended
        return BoundEnergy(
            energy=self.of_response if capped is None or tells_ends else None,
            has_gradient=capped is None,
            score_text=None if tells_ends else self.of_texts,
            is_reward=is_reward,
            warnings=Lines(notes),
        )

    def of_response(self, response: SoftResponse) -> Float[Tensor, "P C"]:
        """Of P × C responses."""
        values = [self._weighted(member, *member.likelihood.of_response(response)) for member in self.members]
        return -torch.stack(values).sum(0).unflatten(0, response.shape[:2])

    def of_texts(self, prompts: Sequence[str], texts: Sequence[str]) -> Float[Tensor, " N"]:
        """Of N texts as answers to prompts of the run."""
        values = [self._weighted(member, *member.likelihood.of_texts(prompts, texts)) for member in self.members]
        return -torch.stack(values).sum(0)

    def _weighted(self, member: Member, log_prob: Tensor, tokens: Tensor) -> Tensor:
        return member.weight * (log_prob / tokens.clamp(min=1.0) if self.normalize == "mean" else log_prob)

    def _shown(self, lm: Policy) -> ConversationText:
        """From prompt and answer to the text that a model reads."""
        own = lm.chat
        turns = CONVERSATION if own is not None else (Message("user", "{prompt}{response}"),)
        chat = chat_for(
            turns,
            lm.tokenizer,
            lm.name,
            plain=own is None,
            options=self.template_options,
            date=None if own is None else own.date,
            own=lambda: own,
        )
        # plain text has no end of its own
        anchor = lm.tokenizer.decode([lm.usual_end]) if self.end is not False and chat is None else ""
        return ConversationText(
            turns,
            lm.tokenizer,
            lm.name,
            chat,
            anchor=anchor,
            answers=False,
            limit=lm.context_length,
            truncate=self.truncate,
        )


def pool_outlook(energy: str, names: Sequence[str | None], foresight: Foresight, *, is_reward: bool) -> Outlook:
    """What a pool of these models will be, as far as configs and tokenizers tell.

    Args:
        energy: whose it is, for the ledger.
        names: of the models; None for the policy.
        foresight: of the recipe.
        is_reward: of the energy.

    Raises:
        ModelError: one cannot be found, or its config not be read.
    """
    each = [language_model_outlook(name, foresight, energy) for name in names]
    return merged([Outlook(road, [model], is_reward=is_reward) for road, model in each])
